package server

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// printed runs a step that prints, and returns its result or refusal.
func (h *harness) printed(workspace string, args object) bctrl.StepResult {
	h.Helper()
	var out bctrl.ExecutionResult
	h.ok("POST", []string{"workspaces", workspace, "execute"},
		object{"runtime": "crm", "steps": []object{{"call": "page.pdf", "args": args}}}, &out)
	require.Len(h, out.Steps, 1)
	return out.Steps[0]
}

func TestAPDFIsKeptWithItsRuntimeOrReturned(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "exports"}})
	rt := h.launch(ws, "crm", nil)
	var out bctrl.PDFResult
	for _, path := range []string{"reports/q1.pdf", ""} {
		step := h.printed(ws.ID, object{"path": path, "paper": "a4"})
		require.Nil(t, step.Error)
		out = bctrl.PDFResult{}
		require.NoError(t, json.Unmarshal(step.Result, &out))
		require.Nil(t, out.Data)
		require.Equal(t, []any{bctrl.SourcePDF, rt.ID, rt.Driver, "application/pdf"},
			[]any{out.Object.Source, out.Object.RuntimeID, out.Object.Driver, out.Object.ContentType})
		kept := out.Object.LogicalPath
		require.True(t, path == kept || path == "" && strings.HasPrefix(kept, "pdfs/crm-"))
	}
	kept := h.kept()
	out = bctrl.PDFResult{}
	require.NoError(t, json.Unmarshal(h.printed(ws.ID, object{"inline": true}).Result, &out))
	require.Nil(t, out.Object)
	require.True(t, strings.HasPrefix(string(out.Data), "%PDF-"))
	require.Equal(t, kept, h.kept(), "nothing more is kept")

	without := h.workspace("without", bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}})
	h.launch(without, "crm", nil)
	require.Equal(t, "storage.outside_mount", h.printed(without.ID, object{}).Error.Code)
	require.Nil(t, h.printed(without.ID, object{"inline": true}).Error, "no storage is needed for bytes")
}

// TestWhatCannotBePrintedIsRefusedByBothSides gives the same options to the SDK and the
// server, which name the same field.
func TestWhatCannotBePrintedIsRefusedByBothSides(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "exports"}})
	h.launch(ws, "crm", nil)
	for _, c := range []struct {
		options          bctrl.PDFOptions
		code, field, why string
	}{
		{bctrl.PDFOptions{Paper: "b5"}, "executions.invalid_paper", "paper", "no such paper"},
		{bctrl.PDFOptions{Width: 3}, "executions.invalid_paper", "height", "paper of no height"},
		{bctrl.PDFOptions{Width: -3, Height: 4}, "executions.invalid_paper", "width", "less than none"},
		{bctrl.PDFOptions{Width: 3, Height: 201}, "executions.invalid_paper", "height", "a banner"},
		{bctrl.PDFOptions{Width: 3, Height: 4, Paper: "a4"}, "executions.invalid_paper", "width", "two sizes"},
		{bctrl.PDFOptions{Margins: &bctrl.PDFMargins{Left: -1}}, "executions.invalid_margins", "margins.left",
			"less than none"},
		{bctrl.PDFOptions{Margins: &bctrl.PDFMargins{Left: 4, Right: 4.5}}, "executions.invalid_margins", "margins.left",
			"nothing is left of the page"},
		{bctrl.PDFOptions{Margins: &bctrl.PDFMargins{Top: 9}, Landscape: true}, "executions.invalid_margins", "margins.top",
			"nor of a page that is turned"},
		{bctrl.PDFOptions{Scale: 2.5}, "executions.invalid_scale", "scale", "too large"},
		{bctrl.PDFOptions{Scale: 0.01}, "executions.invalid_scale", "scale", "too small"},
		{bctrl.PDFOptions{Ranges: "0"}, "executions.invalid_ranges", "ranges", "pages are counted from 1"},
		{bctrl.PDFOptions{Ranges: "3-1"}, "executions.invalid_ranges", "ranges", "backwards"},
		{bctrl.PDFOptions{Ranges: "1,"}, "executions.invalid_ranges", "ranges", "half a list"},
		{bctrl.PDFOptions{Ranges: "+1"}, "executions.invalid_ranges", "ranges", "no number"},
		{bctrl.PDFOptions{Ranges: strings.Repeat("1,", 100) + "1"}, "executions.invalid_ranges", "ranges", "too many"},
		{bctrl.PDFOptions{Header: strings.Repeat("h", 16<<10+1)}, "executions.invalid_template", "header", "too long"},
		{bctrl.PDFOptions{Path: "x.pdf", Inline: true}, "executions.two_at_once", "inline", "kept and returned"},
	} {
		var local *bctrl.Error
		require.ErrorAs(t, c.options.Validate(), &local, c.why)
		require.Equal(t, []string{c.code, c.field}, []string{local.Code, local.Field}, c.why)
		raw, err := json.Marshal(c.options)
		require.NoError(t, err)
		got := h.do("POST", []string{"workspaces", ws.ID, "execute"}, nil,
			object{"runtime": "crm", "steps": []object{{"call": "page.pdf", "args": json.RawMessage(raw)}}})
		require.Equal(t, 400, got.Status, c.why)
		require.Equal(t, c.code, got.code(), c.why)
		require.Contains(t, string(got.Body), `"steps[0].args.`+c.field+`"`, c.why)
	}
	got := h.do("POST", []string{"workspaces", ws.ID, "execute"}, nil,
		object{"runtime": "crm", "steps": []object{{"call": "page.pdf", "args": object{"path": "../x.pdf"}}}})
	require.Equal(t, "storage.invalid_path", got.code(), "a path outside")
	require.Contains(t, string(got.Body), `"steps[0].args.path"`)
	require.Error(t, bctrl.PDFOptions{Scale: math.NaN()}.Validate())
	require.Error(t, bctrl.PDFOptions{Width: math.Inf(1), Height: 1}.Validate())
	got = h.do("POST", []string{"workspaces", ws.ID, "execute"}, nil,
		object{"runtime": "crm", "steps": []object{{"call": "page.pdf", "args": object{"colour": true}}}})
	require.Equal(t, 400, got.Status, "an unknown option")
}

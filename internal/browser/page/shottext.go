package page

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/domsnapshot"
)

// paintedText is a text that a picture of the page shows, and its node.
type paintedText struct {
	text    string
	backend cdp.BackendNodeID
}

// paintedTexts are the texts that a picture shows of one document.
type paintedTexts struct {
	laidOut []paintedText // in the order of the page
	fields  []paintedText // what fields and pictures show in boxes of their own
	hidden  []paintedText // what is not laid out, and may be for a moment
	// passwords are the inputs of that type.
	passwords []cdp.BackendNodeID
}

// snapshot is what is read of a snapshot of a page. Its texts are indexes into
// Strings; below zero is none.
type snapshot struct {
	Strings   []string           `json:"strings"`
	Documents []snapshotDocument `json:"documents"`
}

type snapshotDocument struct {
	Frame int `json:"frameId"`
	Nodes struct {
		Backends   []cdp.BackendNodeID `json:"backendNodeId"`
		Parents    []int               `json:"parentIndex"`
		Types      []int               `json:"nodeType"`
		Names      []int               `json:"nodeName"`
		Values     []int               `json:"nodeValue"`
		Attributes [][]int             `json:"attributes"` // names and values in turn
		Inputs     snapshotValues      `json:"inputValue"`
		Areas      snapshotValues      `json:"textValue"`
	} `json:"nodes"`
	Layout struct {
		Nodes []int `json:"nodeIndex"`
		Texts []int `json:"text"`
	} `json:"layout"`
}

// snapshotValues are the texts of the few nodes that have one.
type snapshotValues struct {
	Nodes []int `json:"index"`
	Texts []int `json:"value"`
}

func (s *snapshot) text(i int) string {
	if i < 0 || i >= len(s.Strings) {
		return ""
	}
	return s.Strings[i]
}

// paintedBy returns the texts that the documents of a session paint. Not all are in
// the accessibility tree: a page can leave out of it what it likes, what lies behind a
// dialog is not in it, and neither is the hint of a field that has a name.
func paintedBy(ctx context.Context, session *session) (map[cdp.FrameID]paintedTexts, error) {
	var got snapshot
	params := domsnapshot.CaptureSnapshotParams{ComputedStyles: []string{}}
	if err := session.Call(ctx, domsnapshot.CaptureSnapshot.Method, params, &got); err != nil {
		return nil, fmt.Errorf("reading what the page paints: %w", err)
	}
	out := map[cdp.FrameID]paintedTexts{}
	for i := range got.Documents {
		d := &got.Documents[i]
		out[cdp.FrameID(got.text(d.Frame))] = paintedTexts{
			laidOut: got.painted(d, d.Layout.Nodes, d.Layout.Texts),
			fields: append(append(got.painted(d, d.Nodes.Inputs.Nodes, d.Nodes.Inputs.Texts),
				got.painted(d, d.Nodes.Areas.Nodes, d.Nodes.Areas.Texts)...), got.hints(d)...),
			hidden:    got.hidden(d),
			passwords: got.passwords(d),
		}
	}
	return out, nil
}

// painted returns the texts of a document's nodes.
func (s *snapshot) painted(d *snapshotDocument, nodes, texts []int) []paintedText {
	var out []paintedText
	for i, node := range nodes[:min(len(nodes), len(texts))] {
		if text := s.text(texts[i]); text != "" && node >= 0 && node < len(d.Nodes.Backends) {
			out = append(out, paintedText{text, d.Nodes.Backends[node]})
		}
	}
	return out
}

// textNode is the type of the nodes of texts (DOM Standard, 4.4).
const textNode = 3

// hidden returns a document's texts that are not laid out, other than scripts and styles.
func (s *snapshot) hidden(d *snapshotDocument) []paintedText {
	laidOut := map[int]bool{}
	for _, node := range d.Layout.Nodes {
		laidOut[node] = true
	}
	var nodes, texts []int
	for node := range min(len(d.Nodes.Types), len(d.Nodes.Values), len(d.Nodes.Parents)) {
		if d.Nodes.Types[node] != textNode || laidOut[node] {
			continue
		}
		if parent := d.Nodes.Parents[node]; parent >= 0 && parent < len(d.Nodes.Names) {
			if name := strings.ToLower(s.text(d.Nodes.Names[parent])); name == "script" || name == "style" {
				continue
			}
		}
		nodes, texts = append(nodes, node), append(texts, d.Nodes.Values[node])
	}
	return s.painted(d, nodes, texts)
}

// hints returns what fields show while they are empty, and what is shown in the
// place of pictures.
func (s *snapshot) hints(d *snapshotDocument) []paintedText {
	var nodes, texts []int
	for node, attributes := range d.Nodes.Attributes {
		for i := 0; i+1 < len(attributes); i += 2 {
			if name := s.text(attributes[i]); name == "placeholder" || name == "alt" {
				nodes, texts = append(nodes, node), append(texts, attributes[i+1])
			}
		}
	}
	return s.painted(d, nodes, texts)
}

// passwords returns a document's inputs of that type.
func (s *snapshot) passwords(d *snapshotDocument) []cdp.BackendNodeID {
	var out []cdp.BackendNodeID
	for node, attributes := range d.Nodes.Attributes {
		for i := 0; i+1 < len(attributes) && node < len(d.Nodes.Backends); i += 2 {
			if s.text(attributes[i]) == "type" && strings.EqualFold(s.text(attributes[i+1]), "password") {
				out = append(out, d.Nodes.Backends[node])
			}
		}
	}
	return out
}

// nodesEchoing returns the nodes of texts, which follow one another, that show
// something filled, whole or piece by piece.
func (t *tab) nodesEchoing(painted []paintedText) []cdp.BackendNodeID {
	texts := make([]string, len(painted))
	for i, p := range painted {
		texts[i] = p.text
	}
	var out []cdp.BackendNodeID
	for i, hidden := range t.set.scrub.Spans(texts) {
		if len(hidden) > 0 || t.set.scrub.Text(texts[i]) != texts[i] {
			out = append(out, painted[i].backend)
		}
	}
	return out
}

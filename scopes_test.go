package bctrl

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func codeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestAScopeThatCanHideATypingErrorIsRefused(t *testing.T) {
	for _, test := range []struct{ why, text, code string }{
		{"everywhere", `{"type":"global"}`, ""},
		{"one workspace", `{"type":"workspace","workspaceId":"sales"}`, ""},
		{"one group", `{"type":"group","workspaceId":"sales","groupId":"team-7"}`, ""},
		{"a scope is said", `null`, "scope.required"},
		{"also where an id is", `{"type":"","groupId":"team-7"}`, "scope.required"},
		{"types are spelt exactly", `{"type":"Global"}`, "scope.invalid_type"},
		{"a global scope has no workspace", `{"type":"global","workspaceId":"sales"}`, "scope.unexpected_id"},
		{"nor a blank one", `{"type":"global","workspaceId":""}`, "scope.unexpected_id"},
		{"a workspace is not a group", `{"type":"workspace","workspaceId":"sales","groupId":"team-7"}`,
			"scope.unexpected_id"},
		{"a group is part of a workspace", `{"type":"group","groupId":"team-7"}`, "scope.group_without_workspace"},
		{"a workspace has an id", `{"type":"workspace"}`, "scope.blank_id"},
		{"that is not empty", `{"type":"workspace","workspaceId":""}`, "scope.blank_id"},
		{"nor white space", `{"type":"workspace","workspaceId":"\t "}`, "scope.blank_id"},
		{"in groups neither", `{"type":"group","workspaceId":" ","groupId":"team-7"}`, "scope.blank_id"},
		{"an empty workspace is not an absent one", `{"type":"group","workspaceId":"","groupId":"team-7"}`, "scope.blank_id"},
		{"a group has an id", `{"type":"group","workspaceId":"sales"}`, "scope.blank_id"},
		{"a separator joins two ids", `{"type":"workspace","workspaceId":"sales/team-7"}`, "scope.invalid_id"},
		{"as does a colon", `{"type":"group","workspaceId":"sales","groupId":"a:b"}`, "scope.invalid_id"},
		{"ids are not trimmed", `{"type":"workspace","workspaceId":" sales"}`, "scope.invalid_id"},
		{"nor endless", `{"type":"workspace","workspaceId":"` + strings.Repeat("a", 129) + `"}`, "scope.invalid_id"},
	} {
		var s Scope
		require.NoError(t, json.Unmarshal([]byte(test.text), &s), test.why)
		require.Equal(t, test.code, codeOf(s.Validate()), test.why)
	}
	for _, text := range []string{`{"type":"global","Type":"group"}`, `{"type":"global","type":"group"}`, `{"type":null}`,
		`{"kind":"global"}`, `"global"`, `[]`} {
		require.Error(t, json.Unmarshal([]byte(text), new(Scope)), text)
	}
	require.Equal(t, "scope.group_without_workspace", codeOf(InGroup("", "team-7").Validate()))
	require.Equal(t, "scope.blank_id", codeOf(InWorkspace("").Validate()))
}

func TestEveryScopeSurvivesTheWire(t *testing.T) {
	id := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,127}`)
	rapid.Check(t, func(t *rapid.T) {
		w, g := id.Draw(t, "workspace"), id.Draw(t, "group")
		s := rapid.SampledFrom([]Scope{Global(), InWorkspace(w), InGroup(w, g)}).Draw(t, "scope")
		require.NoError(t, s.Validate())
		text, err := json.Marshal(s)
		require.NoError(t, err)
		var back Scope
		require.NoError(t, json.Unmarshal(text, &back))
		require.True(t, s == back, "%s", text)
	})
}

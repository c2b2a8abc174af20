package server

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

func TestASecretIsKeptForTheBrokerAlone(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	made := h.do("POST", []string{"secrets"}, nil, object{"name": "MY_KEY", "value": "canary-value",
		"aliases": []string{"mine"}, "scope": inWorkspace("sales")})
	require.Equal(t, http.StatusOK, made.Status, "%s", made.Body)
	var s bctrl.SecretInfo
	decodeInto(t, made, &s)
	require.Equal(t, bctrl.InWorkspace(ws.ID), s.Scope, "a workspace that is given by name is stored by id")
	require.EqualValues(t, 1, s.Version)
	require.Equal(t, "canary-value", h.secretValue(s.ID))

	rotated := h.do("POST", []string{"secrets", s.ID, "rotate"}, nil, object{"value": "canary-second"})
	var r bctrl.SecretInfo
	decodeInto(t, rotated, &r)
	require.Equal(t, s.ID, r.ID)
	require.EqualValues(t, 2, r.Version)
	require.Equal(t, "canary-second", h.secretValue(s.ID))
	renamed := h.do("PATCH", []string{"secrets", s.ID}, nil, object{"name": "OTHER", "aliases": []string{}})
	r = bctrl.SecretInfo{}
	decodeInto(t, renamed, &r)
	require.Equal(t, "OTHER", r.Name)
	require.Empty(t, r.Aliases)
	require.Equal(t, "canary-second", h.secretValue(s.ID), "a rename keeps the value")
	got := h.do("GET", []string{"secrets", s.ID}, nil, nil)
	list := h.do("GET", []string{"secrets"}, nil, nil)
	for _, a := range []answer{made, rotated, renamed, got, list} {
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.NotContains(t, string(a.Body), "canary")
	}
	require.Equal(t, string(renamed.Body), string(got.Body))
	h.ok("PATCH", []string{"secrets", s.ID}, object{"name": "OTHER"}, &s)
	require.EqualValues(t, 3, s.Version, "nothing changed")
	h.secretIn(inWorkspace(ws.ID), "MY_KEY", "v", "mine") // both are free again
}

func TestEachWrongSecretHasItsCodeAndLeavesOnlyAnEvent(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	taken := h.secretIn(globally(), "TAKEN", "v", "also-taken")
	missing := web.NewID()
	long := strings.Repeat("v", 64<<10+1)
	create := func(name string, with object) object {
		body := object{"name": name, "value": "canary-value", "scope": globally()}
		for k, v := range with {
			body[k] = v
		}
		return body
	}
	many := make([]string, 32+1)
	for i := range many {
		many[i] = "a" + strconv.Itoa(i)
	}
	for _, tc := range []struct {
		why, method string
		segments    []string
		body        object
		status      int
		code        string
	}{
		{"no scope", "POST", []string{"secrets"}, create("A", object{"scope": nil}), 400, "scope.required"},
		{"no type", "POST", []string{"secrets"}, create("A", object{"scope": object{}}), 400, "scope.required"},
		{"an unknown type", "POST", []string{"secrets"}, create("A", object{"scope": object{"type": "team"}}), 400,
			"scope.invalid_type"},
		{"an id too many", "POST", []string{"secrets"},
			create("A", object{"scope": object{"type": "global", "groupId": "g"}}), 400, "scope.unexpected_id"},
		{"a group without a workspace", "POST", []string{"secrets"},
			create("A", object{"scope": object{"type": "group", "groupId": "g"}}), 400, "scope.group_without_workspace"},
		{"a blank id", "POST", []string{"secrets"}, create("A", object{"scope": inWorkspace(" ")}), 400, "scope.blank_id"},
		{"a blank group", "POST", []string{"secrets"}, create("A", object{"scope": inGroup("sales", "")}), 400,
			"scope.blank_id"},
		{"an id with a separator", "POST", []string{"secrets"}, create("A", object{"scope": inGroup("sales", "a/b")}), 400,
			"scope.invalid_id"},
		{"an unknown workspace", "POST", []string{"secrets"}, create("A", object{"scope": inWorkspace("salse")}), 404,
			"scope.workspace_not_found"},
		{"an unknown workspace's group", "POST", []string{"secrets"}, create("A", object{"scope": inGroup(missing, "g")}),
			404, "scope.workspace_not_found"},
		{"an unknown field of a scope", "POST", []string{"secrets"},
			create("A", object{"scope": object{"type": "global", "id": "x"}}), 400, "request.unknown_field"},
		{"no value", "POST", []string{"secrets"}, object{"name": "A", "scope": globally()}, 400, "secrets.value_required"},
		{"an empty value", "POST", []string{"secrets"}, create("A", object{"value": ""}), 400, "secrets.value_required"},
		{"a long value", "POST", []string{"secrets"}, create("A", object{"value": long}), 400, "request.too_long"},
		{"a name with a space", "POST", []string{"secrets"}, create("canary name", nil), 400, "secrets.invalid_name"},
		{"a name that begins with a digit", "POST", []string{"secrets"}, create("1A", nil), 400, "secrets.invalid_name"},
		{"an alias with a slash", "POST", []string{"secrets"}, create("A", object{"aliases": []string{"canary/x"}}), 400,
			"secrets.invalid_name"},
		{"a name as alias", "POST", []string{"secrets"}, create("A", object{"aliases": []string{"A"}}), 400,
			"secrets.duplicate_name"},
		{"too many aliases", "POST", []string{"secrets"}, create("A", object{"aliases": many}), 400, "request.too_long"},
		{"a name that is taken", "POST", []string{"secrets"}, create("TAKEN", nil), 409, "secrets.exists"},
		{"a name that is an alias", "POST", []string{"secrets"}, create("also-taken", nil), 409, "secrets.exists"},
		{"an alias that is a name", "POST", []string{"secrets"}, create("A", object{"aliases": []string{"TAKEN"}}), 409,
			"secrets.exists"},
		{"an id that is none", "PATCH", []string{"secrets", "TAKEN"}, object{"name": "B"}, 400, "request.invalid_id"},
		{"an unknown id", "PATCH", []string{"secrets", missing}, object{"name": "B"}, 404, "secrets.not_found"},
		{"a value in an update", "PATCH", []string{"secrets", taken.ID}, object{"value": "canary-value"}, 400,
			"request.unknown_field"},
		{"a new name that is none", "PATCH", []string{"secrets", taken.ID}, object{"name": ""}, 400, "secrets.invalid_name"},
		{"a new name that is its alias", "PATCH", []string{"secrets", taken.ID}, object{"name": "also-taken"}, 400,
			"secrets.duplicate_name"},
		{"rotated to nothing", "POST", []string{"secrets", taken.ID, "rotate"}, object{}, 400, "secrets.value_required"},
		{"rotated to too much", "POST", []string{"secrets", taken.ID, "rotate"}, object{"value": long}, 400,
			"request.too_long"},
		{"rotating what is not there", "POST", []string{"secrets", missing, "rotate"}, object{"value": "canary-value"}, 404,
			"secrets.not_found"},
		{"deleting what is not there", "DELETE", []string{"secrets", missing}, nil, 404, "secrets.not_found"},
		{"attaching what is not there", "PUT", attachmentOf(missing, ws.ID, "g"), nil, 404, "secrets.not_found"},
		{"attaching to nowhere", "PUT", attachmentOf(taken.ID, "nowhere", "g"), nil, 404, "scope.workspace_not_found"},
		{"attaching to no group", "PUT", attachmentOf(taken.ID, ws.ID, " "), nil, 400, "scope.blank_id"},
		{"attaching to two", "PUT", attachmentOf(taken.ID, ws.ID, "a,b"), nil, 400, "scope.invalid_id"},
		{"detaching from nowhere", "DELETE", attachmentOf(taken.ID, "nowhere", "g"), nil, 404, "scope.workspace_not_found"},
	} {
		if tc.body["scope"] == nil {
			delete(tc.body, "scope")
		}
		before := h.log(bctrl.AuditFilter{})
		var body any
		if tc.body != nil {
			body = tc.body
		}
		got := h.do(tc.method, tc.segments, nil, body)
		refused(t, got, tc.status, tc.code, tc.why)
		require.NotContains(t, string(got.Body), "canary", tc.why)
		after := h.log(bctrl.AuditFilter{})
		require.Len(t, after, len(before)+1, "%s: one event", tc.why)
		require.Equal(t, tc.code, after[0].Outcome, tc.why)
		require.Equal(t, "secret.write", after[0].Action, tc.why)
	}
	require.Equal(t, []string{taken.ID}, h.listed(), "nothing is left behind")
	require.EqualValues(t, 1, h.get(taken.ID).Version)
	for query, code := range map[string]string{
		"scope=team": "scope.invalid_type", "scope=group&groupId=g": "scope.group_without_workspace",
		"scope=workspace":                             "scope.blank_id",
		"scope=global&workspaceId=sales":              "scope.unexpected_id",
		"scope=workspace&workspaceId=sales&groupId=g": "scope.unexpected_id",
		"workspaceId=salse":                           "scope.workspace_not_found",
		"groupId=g":                                   "scope.group_without_workspace",
		"name=a%2Fb":                                  "secrets.invalid_name",
		"attachedWorkspaceId=sales":                   "scope.blank_id", "attachedGroupId=g": "scope.group_without_workspace",
		"attachedWorkspaceId=salse&attachedGroupId=g": "scope.workspace_not_found", "provider=x": "request.unknown_parameter",
	} {
		got := h.send("GET", "/v1/secrets?"+query, nil, "Authorization", "Bearer "+h.key)
		require.Equal(t, code, got.code(), query)
	}
}

func TestListsSelectByScopeNameAndAttachment(t *testing.T) {
	h := newHarness(t)
	ws, other := h.made("sales", object{}), h.made("hr", object{})
	a := h.secretIn(globally(), "KEY", "v", "alias").ID
	b := h.secretIn(inWorkspace(ws.ID), "KEY", "v").ID
	c := h.secretIn(inGroup(ws.ID, "g"), "KEY", "v").ID
	d := h.secretIn(inGroup(other.ID, "g"), "OTHER", "v", "KEY").ID
	h.ok("PUT", attachmentOf(a, "sales", "g"), nil, nil)
	h.ok("PUT", attachmentOf(d, ws.ID, "g"), nil, nil)
	for _, tc := range []struct {
		why   string
		query []string
		want  []string
	}{
		{"all, oldest first", nil, []string{a, b, c, d}},
		{"a scope is exact", []string{"scope", "workspace", "workspaceId", "sales"}, []string{b}},
		{"ids say the type", []string{"workspaceId", ws.ID, "groupId", "g"}, []string{c}},
		{"global alone", []string{"scope", "global"}, []string{a}},
		{"groups compare exactly", []string{"workspaceId", ws.ID, "groupId", "G"}, nil},
		{"a name, or an alias", []string{"name", "KEY"}, []string{a, b, c, d}},
		{"of one scope there is one", []string{"name", "alias", "scope", "global"}, []string{a}},
		{"names compare exactly", []string{"name", "key"}, nil},
		{"an attachment", []string{"attachedWorkspaceId", "sales", "attachedGroupId", "g"}, []string{a, d}},
		{"and all of it together", []string{"attachedWorkspaceId", "sales", "attachedGroupId", "g", "name", "KEY", "scope",
			"global"}, []string{a}},
	} {
		require.Equal(t, tc.want, h.listed(tc.query...), tc.why)
	}
}

func TestAttachingTwiceIsOnceAndDetachingNothingChangesNothing(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	id := h.secretIn(globally(), "KEY", "v").ID
	group := bctrl.InGroup(ws.ID, "g")
	var s bctrl.SecretInfo
	for _, by := range []string{ws.ID, "sales", ws.ID} {
		h.ok("PUT", attachmentOf(id, by, "g"), nil, &s)
		require.Equal(t, []bctrl.Scope{group}, s.Attachments)
		require.EqualValues(t, 2, s.Version)
	}
	newest := h.log(bctrl.AuditFilter{Object: id})[0]
	require.Equal(t, [2]string{ws.ID, "g"}, [2]string{newest.WorkspaceID, newest.Group}, "an event names the group")
	h.ok("DELETE", attachmentOf(id, "sales", "other"), nil, &s)
	require.EqualValues(t, 2, s.Version)
	for range 2 {
		var s bctrl.SecretInfo
		h.ok("DELETE", attachmentOf(id, "sales", "g"), nil, &s)
		require.Empty(t, s.Attachments)
		require.EqualValues(t, 3, s.Version)
	}
	require.Equal(t, "v", h.secretValue(id))
}

func TestAWorkspaceTakesItsSecretsWithIt(t *testing.T) {
	h := newHarness(t)
	ws, other := h.made("sales", object{}), h.made("hr", object{})
	kept := h.secretIn(globally(), "KEPT", "v").ID
	bad := h.secretIn(inWorkspace(other.ID), "BAD", "v").ID
	gone := []string{h.secretIn(inWorkspace(ws.ID), "A", "v").ID, h.secretIn(inGroup(ws.ID, "g"), "A", "v").ID}
	for _, to := range []string{"g", "h"} {
		h.ok("PUT", attachmentOf(kept, ws.ID, to), nil, nil)
		h.ok("PUT", attachmentOf(bad, ws.ID, to), nil, nil)
	}
	h.ok("PUT", attachmentOf(kept, other.ID, "g"), nil, nil)
	h.tamper("UPDATE secrets SET version = version + 1 WHERE id = '" + bad + "'")

	h.ok("DELETE", []string{"workspaces", ws.ID}, nil, nil)
	for _, id := range gone {
		refused(t, h.do("GET", []string{"secrets", id}, nil, nil), 404, "secrets.not_found", "it lived there")
		require.Equal(t, ws.ID, h.log(bctrl.AuditFilter{Object: id})[0].WorkspaceID, "an event of its own")
	}
	require.Equal(t, []bctrl.Scope{bctrl.InGroup(other.ID, "g")}, h.get(kept).Attachments)
	require.EqualValues(t, 5, h.get(kept).Version, "one change, and one event")
	require.Equal(t, "v", h.secretValue(kept))
	refused(t, h.do("GET", []string{"secrets", bad}, nil, nil), 500, "secrets.tampered",
		"it does not keep the workspace, and is not repaired")
	index, err := h.db.Read().SecretIndex(t.Context(), bad)
	require.NoError(t, err)
	require.Empty(t, index.Attachments)

	again := h.made("sales", object{})
	require.Nil(t, h.listed("workspaceId", again.ID), "a new workspace with the old name inherits nothing")
	h.tamper("UPDATE secrets SET version = version - 1 WHERE id = '" + bad + "'")
	h.ok("DELETE", []string{"secrets", bad}, nil, nil)
	require.True(t, h.verified(), "every state is in the log")
}

func TestASecretStaysWithItsWorkspaceWhateverThatIsCalled(t *testing.T) {
	h := newHarness(t)
	first := h.made("sales", object{})
	id := h.secretIn(inWorkspace("sales"), "KEY", "v").ID
	h.ok("PATCH", []string{"workspaces", first.ID}, object{"name": "renamed"}, nil)
	second := h.made("sales", object{"storage": object{"access": "none"}})
	require.Nil(t, h.listed("workspaceId", "sales"))
	require.Equal(t, []string{id}, h.listed("workspaceId", "renamed"))
	require.Equal(t, bctrl.InWorkspace(second.ID), h.secretIn(inWorkspace("sales"), "KEY", "v").Scope)
	// An id goes before another workspace's name.
	third := h.made("third", object{})
	h.ok("PATCH", []string{"workspaces", third.ID}, object{"name": first.ID}, nil)
	require.Equal(t, first.ID, h.secretIn(inWorkspace(first.ID), "OTHER", "v").Scope.WorkspaceID())
}

func TestAnEditedSecretIsNotUsed(t *testing.T) {
	for _, tc := range []struct{ why, edit string }{
		{"values exchanged", "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'B') WHERE name = 'A'"},
		{"a scope widened in its column", "UPDATE secrets SET workspace_id = '' WHERE name = 'A'"},
		{"a scope widened in what is sealed",
			`UPDATE secrets SET workspace_id = '', meta = replace(meta, '"type":"workspace","workspaceId":"' || workspace_id ` +
				`|| '"', '"type":"global"') WHERE name = 'A'`},
		{"attached only taken away", `UPDATE secrets SET attached_only = FALSE WHERE name = 'A'`},
		{"unpinned", `UPDATE secrets SET provider = 'evil' WHERE name = 'A'`},
		{"attached",
			`UPDATE secrets SET meta = replace(meta, '"rotatedAt"', '"attachments":[],"rotatedAt"') WHERE name = 'A'`},
		{"renamed", `UPDATE secrets SET name = 'C' WHERE name = 'A'`},
		{"put back", `UPDATE secrets SET version = version - 1 WHERE name = 'A'`},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			ws := h.made("w", object{})
			var a bctrl.SecretInfo
			h.ok("POST", []string{"secrets"}, object{"name": "A", "value": "v", "scope": inWorkspace(ws.ID),
				"attachedOnly": true}, &a)
			h.secretIn(globally(), "B", "v")
			h.tamper(tc.edit)
			refused(t, h.do("GET", []string{"secrets", a.ID}, nil, nil), 500, "secrets.tampered", "reading")
			refused(t, h.do("PUT", attachmentOf(a.ID, ws.ID, "g"), nil, nil), 500, "secrets.tampered", "changing")
			require.False(t, h.verified())
			h.ok("DELETE", []string{"secrets", a.ID}, nil, nil)
		})
	}
}

func TestNothingOfADeletedOrRotatedSecretIsLeftOnDisk(t *testing.T) {
	storetest.OnSQLite(t)
	h := newHarness(t)
	s := h.secretIn(globally(), "KEY", strings.Repeat("value", 2000))
	sealed := func() []byte {
		row, err := h.db.Read().Secret(t.Context(), h.org(), s.ID)
		require.NoError(t, err)
		return row.Sealed
	}
	// The middle of it lies on pages of its own, both ends with the row.
	first := sealed()
	h.ok("POST", []string{"secrets", s.ID, "rotate"}, object{"value": strings.Repeat("other", 2000)}, nil)
	second := sealed()
	h.ok("DELETE", []string{"secrets", s.ID}, nil, nil)
	onDisk := func() bool {
		data, dataErr := os.ReadFile(filepath.Join(h.dir, "bctrl.db"))
		wal, walErr := os.ReadFile(filepath.Join(h.dir, "bctrl.db-wal"))
		if err := errors.Join(dataErr, walErr); err != nil {
			t.Error(err)
		}
		for _, was := range [][]byte{first, second} {
			for at := 0; at+24 <= len(was); at += 512 {
				if bytes.Contains(data, was[at:at+24]) || bytes.Contains(wal, was[at:at+24]) {
					return true
				}
			}
		}
		return false
	}
	// A reader, as the one that indexes the log, may have been in the way.
	require.Eventually(t, func() bool { return !onDisk() }, 30*time.Second, 5*time.Millisecond)
}

func TestEveryChangeOfASecretHasItsEvent(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	s := h.secretIn(inGroup(ws.ID, "g"), "KEY", "v")
	h.ok("PATCH", []string{"secrets", s.ID}, object{"name": "NEW"}, nil)
	h.ok("POST", []string{"secrets", s.ID, "rotate"}, object{"value": "w"}, nil)
	h.ok("PUT", attachmentOf(s.ID, ws.ID, "h"), nil, nil)
	h.ok("DELETE", attachmentOf(s.ID, ws.ID, "h"), nil, nil)
	h.ok("DELETE", []string{"secrets", s.ID}, nil, nil)
	var seen []string
	for _, e := range slices.Backward(h.log(bctrl.AuditFilter{Object: s.ID})) {
		require.Equal(t, s.ID, e.UID)
		require.Equal(t, []string{"secret.write", ws.ID, audit.OK}, []string{e.Action, e.WorkspaceID, e.Outcome})
		seen = append(seen, fmt.Sprint(e.Version, " ", e.Group))
	}
	require.Equal(t, []string{"1 g", "2 g", "3 g", "4 h", "5 h", "5 g"}, seen)
	require.True(t, h.verified())
}

func TestAnImportIsAllOrNothing(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	old := h.secretIn(inWorkspace(ws.ID), "OLD", "v", "old-alias")
	load := func(text string) answer {
		return h.do("POST", []string{"secrets", "import"}, nil, object{"scope": inWorkspace("sales"), "text": text})
	}
	for _, tc := range []struct{ why, text, code, line string }{
		{"a line without =", "A=1\ncanary\n", "secrets.malformed_line", "line 2:"},
		{"a quote that is not closed", "A=1\n\nB='canary\n", "secrets.malformed_line", "line 3:"},
		{"a name that is none", "A=1\n2canary=1", "secrets.invalid_name", "line 2:"},
		{"the same name twice", "A=canary\nB=1\nA=canary2", "secrets.duplicate_name", "line 3:"},
		{"the same secret twice", "OLD=canary\nold-alias=canary2", "secrets.duplicate_name", "line 2:"},
		{"too long a value", "A=1\nB=canary" + strings.Repeat("x", 64<<10), "request.too_long", "line 2:"},
		{"too many lines", strings.Repeat("A=\n", 1000+1), "request.too_long", ""},
	} {
		got := load(tc.text)
		refused(t, got, 400, tc.code, tc.why)
		require.NotContains(t, string(got.Body), "canary", tc.why)
		require.Contains(t, string(got.Body), tc.line, tc.why)
		require.Equal(t, tc.code, h.log(bctrl.AuditFilter{})[0].Outcome, tc.why)
	}
	require.Equal(t, []string{old.ID}, h.listed())
	require.EqualValues(t, 1, h.get(old.ID).Version)

	var out bctrl.SecretsImported
	got := load("# comment\r\nexport A='one'\r\nold-alias=\"two\\n\" # two\r\nBLANK=\r\n")
	require.Equal(t, 200, got.Status, "%s", got.Body)
	decodeInto(t, got, &out)
	require.Equal(t, []string{"A"}, namesOf(out.Created))
	require.Equal(t, []string{"OLD"}, namesOf(out.Rotated))
	require.Equal(t, []string{"BLANK"}, out.Skipped)
	require.Equal(t, "one", h.secretValue(out.Created[0].ID))
	require.Equal(t, "two\n", h.secretValue(old.ID))
	require.EqualValues(t, 2, h.get(old.ID).Version)
	for _, id := range []string{out.Created[0].ID, old.ID} {
		e := h.log(bctrl.AuditFilter{Object: id})[0]
		require.Equal(t, []any{id, ws.ID, "secret.write"}, []any{e.UID, e.WorkspaceID, e.Action}, "an event of its own")
	}
	require.True(t, h.verified())
}

func namesOf(list []bctrl.SecretInfo) (names []string) {
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

func TestASecretOfASealThatIsGoneCanStillBeDeleted(t *testing.T) {
	h := newHarness(t)
	id := h.secretIn(globally(), "KEY", "v").ID
	h.tamper("UPDATE secrets SET sealed = x'00'")
	refused(t, h.do("GET", []string{"secrets", id}, nil, nil), 500, "secrets.tampered", "it is not what was sealed")
	h.ok("DELETE", []string{"secrets", id}, nil, nil)
	h.secretIn(globally(), "KEY", "v")
}

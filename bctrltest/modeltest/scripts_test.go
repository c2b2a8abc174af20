package modeltest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/agent"
)

const origin = "http://127.0.0.1:9000"

var logins = []agent.LoginInfo{
	{Key: "prod/crm/api", Origins: []string{origin}},
	{
		Key:         "prod/crm/salesforce",
		HasUsername: true,
		HasPassword: true,
		HasTOTP:     true,
		Origins:     []string{"https://*.example.com", origin},
	},
}

func TestTheExportIsDecidedFromThePage(t *testing.T) {
	const key = "prod/crm/salesforce"
	ref := func(ref string) Element { return Element{Ref: ref} }
	for _, tt := range []struct {
		why   string
		view  agent.View
		calls []Call
		want  Call
	}{
		{why: "an empty tab leads to the login's first origin",
			view: agent.View{URL: "about:blank", Logins: logins}, want: Navigate(origin)},
		{why: "user name and password are filled together, wherever they stand",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e6] button \"Log in\"\n[e5] textbox \"Password\"\n[e4] " +
				"textbox \"Username\"\n"},
			want: FillLogin(key, ref("e4"), ref("e5"))},
		{why: "a form may ask for the password alone",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e5] textbox \"Password\"\n[e6] button \"Log in\"\n"},
			want: FillLogin(key, Element{}, ref("e5"))},
		{why: "a full form is sent",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e4] textbox \"Username\" value=\"[secret]\"\n[e5] " +
				"textbox \"Password\" value=\"[secret]\"\n[e6] button \"Log in\"\n"},
			want: Click(ref("e6"))},
		{why: "a code has its own step",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e9] textbox \"Verification code\"\n[e10] button " +
				"\"Verify\"\n"},
			want: EnterTOTP(key, ref("e9"))},
		{why: "another quarter is shown",
			view: agent.View{URL: origin, Logins: logins,
				Outline: "[e12] combobox \"Quarter\" value=\"All quarters\" options: \"Q1\"\n[e13] button \"Export CSV\"\n"},
			want: Select(ref("e12"), "Q1")},
		{why: "the right quarter is exported",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e12] combobox \"Quarter\" value=\"Q1\" options: " +
				"\"Q1\"\n[e13] button \"Export CSV\"\n"},
			want: Click(ref("e13"))},
		{
			why: "a file takes a moment",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e12] combobox \"Quarter\" value=\"Q1\"\n[e13] button " +
				"\"Export CSV\"\n"},
			calls: []Call{Click(ref("e13"))},
			want:  WaitDownload(10),
		},
		{why: "a file that landed ends it",
			view: agent.View{URL: origin, Logins: logins, Downloads: []agent.Download{{Filename: "q1.csv", Path: "q1.csv"}}},
			want: Done(true, "Exported Q1 as q1.csv.")},
		{why: "no login, no try",
			view: agent.View{URL: "about:blank"}, want: Done(false, "There is no login that I may fill.")},
		{
			why: "a form that came back empty is not filled again",
			view: agent.View{URL: origin, Logins: logins,
				Outline: "[e4] textbox \"Username\"\n[e5] textbox \"Password\"\n[e6] button \"Log in\"\n"},
			calls: []Call{FillLogin(key, ref("e4"), ref("e5")), Click(ref("e6"))},
			want:  Done(false, "The site did not accept the login."),
		},
		{
			why: "an export without a file is given up",
			view: agent.View{URL: origin, Logins: logins, Outline: "[e12] combobox \"Quarter\" value=\"Q1\"\n[e13] button " +
				"\"Export CSV\"\n"},
			calls: []Call{Click(ref("e13")), WaitDownload(10)},
			want:  Done(false, "The export brought no file."),
		},
	} {
		t.Run(tt.why, func(t *testing.T) {
			require.Equal(t, tt.want, LogInAndExport("quarter", "Q1")(Turn{View: tt.view, Calls: tt.calls}))
		})
	}
}

package fill

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestJudgeLetsAValueGoWhereItBelongsAlone is the table of what happens to
// requests while a field is filled.
func TestJudgeLetsAValueGoWhereItBelongsAlone(t *testing.T) {
	const bad = "https://evil.example"
	for _, c := range []struct {
		why     string
		direct  bool
		request Request
		want    string // swapped, carried, passed or blocked
	}{
		{why: "a login", request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "swapped"},
		{why: "in small letters", request: Request{
			method: "patch",
			url:    goodSite + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "swapped"},
		{why: "nothing of it", request: Request{method: "POST", url: bad + "/in", body: []byte("p=other")}, want: "passed"},
		{why: "another site", request: Request{
			method: "POST",
			url:    bad + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "another site, encoded", request: Request{
			method: "POST",
			url:    bad + "/in",
			body:   []byte("p=pLac3%2Dh0lder.~x"),
		}, want: "blocked"},
		{why: "a name below", request: Request{
			method: "POST",
			url:    "https://x.login.example.com/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "a name that begins alike", request: Request{
			method: "POST",
			url:    goodSite + ".evil.example/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "another port", request: Request{
			method: "POST",
			url:    goodSite + ":8443/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "no encryption", request: Request{
			method: "POST",
			url:    "http://login.example.com/",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "the standard port", request: Request{
			method: "POST",
			url:    goodSite + ":443/",
			body:   []byte("p=" + heldBack),
		}, want: "swapped"},
		{why: "in the address", request: Request{method: "GET", url: goodSite + "/in?p=" + heldBack}, want: "blocked"},
		{why: "the value itself in the address", request: Request{
			method: "GET",
			url:    goodSite + "/in?p=" + realOne,
		}, want: "blocked"},
		{why: "a method without effect", request: Request{
			method: "DELETE",
			url:    goodSite + "/in",
			body:   []byte("p=" + heldBack),
		}, want: "blocked"},
		{why: "inside another value", request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("p=x" + heldBack),
		}, want: "blocked"},
		{why: "after a redirect", request: Request{
			method: "POST",
			url:    goodSite + "/2",
			body:   []byte("p=" + realOne),
		}, want: "carried"},
		{why: "after a redirect elsewhere", request: Request{
			method: "POST",
			url:    bad + "/2",
			body:   []byte("p=" + realOne),
		}, want: "blocked"},
		{why: "a header elsewhere", request: Request{method: "GET", url: bad, headers: []string{heldBack}}, want: "blocked"},
		{why: "a header", request: Request{
			method:  "POST",
			url:     goodSite,
			headers: []string{"Bearer " + heldBack},
		}, want: "blocked"},
		{
			why:    "filled directly",
			direct: true,
			request: Request{
				method: "POST",
				url:    goodSite + "/in",
				body:   []byte("<p>" + realOne),
			},
			want: "carried",
		},
		{
			why:    "filled directly, elsewhere",
			direct: true,
			request: Request{
				method: "POST",
				url:    bad + "/in",
				body:   []byte("<p>" + realOne),
			},
			want: "blocked",
		},
		{
			why:    "filled directly, in the address",
			direct: true,
			request: Request{
				method: "GET",
				url:    goodSite + "/?" + realOne,
			},
			want: "blocked",
		},
		{
			why:    "filled directly, in a header",
			direct: true,
			request: Request{
				method:  "GET",
				url:     goodSite,
				headers: []string{realOne},
			},
			want: "passed",
		},
		{
			why:    "filled directly, in a header elsewhere",
			direct: true,
			request: Request{
				method:  "GET",
				url:     bad,
				headers: []string{realOne},
			},
			want: "blocked",
		},
	} {
		var switched []bool
		gs := guards(&switched)
		placeholder := heldBack
		if c.direct {
			placeholder = ""
		}
		gs.Arm(guardOf(placeholder))
		c.request.bodyComplete, c.request.contentType, c.request.flight.Request = true, formType, "r1"
		v := gs.Complete(t.Context(), c.request, gs.Judge(c.request))
		got := "passed"
		switch {
		case v.Reason != "":
			got = "blocked"
			browsertest.RequireUnseen(t, realOne, v.Reason)
			browsertest.RequireUnseen(t, heldBack, v.Reason)
		case v.Swapped:
			got = "swapped"
			require.True(t, string(v.Body) == "p="+realOne, c.why)
			require.True(t, v.WatchAnswer, c.why)
		case v.WatchAnswer:
			got = "carried"
		}
		require.Equal(t, c.want, got, c.why)
		require.Equal(t, got == "swapped" || got == "carried", gs.CarriesValue("r1"), c.why)
		gs.Close()
	}
}

// TestAPasswordThatIsAWordOfTheRequestIsSent logs in with passwords that stand
// in other places of the request as well, as the first ones of devices do.
func TestAPasswordThatIsAWordOfTheRequestIsSent(t *testing.T) {
	for _, c := range []struct{ why, value, path, contentType, body string }{
		{"the user's name", "admin", "/in", formType, "u=admin&p=%s"},
		{"in JSON", "admin", "/in", "application/json", `{"u": "admin", "p": "%s"}`},
		{"a part of another name", "secret", "/in", "application/json", `{"client_secret": "x", "p": "%s"}`},
		{"digits of a number", "1234", "/in", formType, "csrf=9912349&p=%s"},
		{"a step of the path", "admin", "/admin/login", formType, "u=robot&p=%s"},
		{"and a query that says nothing of it", "admin", "/admin/?next=%2F#top", formType, "u=robot&p=%s"},
	} {
		var switched []bool
		gs := guards(&switched)
		g := NewGuard(Field{
			Placeholder: heldBack,
			Value:       bctrl.NewSecret(c.value),
			Element:     protocol.Element{Document: protocol.Document{Frame: "f"}},
			MayGoTo:     toGoodSite,
		})
		gs.Arm(g)
		r := Request{
			method:       "POST",
			url:          goodSite + c.path,
			contentType:  c.contentType,
			body:         fmt.Appendf(nil, c.body, heldBack),
			bodyComplete: true,
		}
		v := gs.Complete(t.Context(), r, gs.Judge(r))
		require.Empty(t, v.Reason, c.why)
		require.Equal(t, fmt.Sprintf(c.body, c.value), string(v.Body), c.why)

		r.url, r.body = goodSite+"/?q="+c.value, nil
		require.NotEmpty(t, gs.Judge(r).Reason, "%s: in the query it is stopped", c.why)
		gs.Close()
	}
}

func TestAValueThatMayNoLongerBeUsedIsNotSent(t *testing.T) {
	for _, c := range []struct {
		why     string
		direct  bool
		request Request
	}{
		{why: "swapped", request: Request{method: "POST", url: goodSite + "/in", body: []byte("p=" + heldBack)}},
		{why: "after a redirect", request: Request{method: "POST", url: goodSite + "/2", body: []byte("p=" + realOne)}},
		{why: "filled directly", direct: true, request: Request{
			method: "POST",
			url:    goodSite + "/in",
			body:   []byte("p=" + realOne),
		}},
		{why: "filled directly, in a header", direct: true, request: Request{
			method:  "GET",
			url:     goodSite,
			headers: []string{realOne},
		}},
	} {
		var switched []bool
		gs := guards(&switched)
		placeholder := heldBack
		if c.direct {
			placeholder = ""
		}
		g := guardOf(placeholder)
		var refusal error
		asked := 0
		g.StillPermitted = func(context.Context) error { asked++; return refusal }
		gs.Arm(g)
		c.request.bodyComplete, c.request.contentType, c.request.flight.Request = true, formType, "r1"

		v := gs.Complete(t.Context(), c.request, gs.Judge(c.request))
		require.Empty(t, v.Reason, c.why)
		require.Equal(t, 1, asked, c.why)
		refusal = fmt.Errorf("the workspace was lowered")
		v = gs.Complete(t.Context(), c.request, gs.Judge(c.request))
		require.NotEmpty(t, v.Reason, c.why)
		require.Empty(t, v.Body, c.why)
		require.Empty(t, g.flights, "%s: what never left has no answer", c.why)

		other := Request{
			method:       "POST",
			url:          goodSite + "/in",
			body:         []byte("p=other"),
			bodyComplete: true,
			contentType:  formType,
		}
		require.Empty(t, gs.Complete(t.Context(), other, gs.Judge(other)).Reason, "%s: nothing of it is in there", c.why)
		require.Equal(t, 2, asked, c.why)
		gs.Close()
	}
}

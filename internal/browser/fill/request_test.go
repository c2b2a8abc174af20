package fill

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/stretchr/testify/require"
)

// TestUnreadBodiesAreNotSwapped holds files and streams back when what is
// known of them has the placeholder.
func TestUnreadBodiesAreNotSwapped(t *testing.T) {
	var switched []bool
	gs := guards(&switched)
	gs.Arm(guardOf(heldBack))
	defer gs.Close()
	r := RequestOf(Flight{}, &network.Request{
		URL:             goodSite + "/up",
		Method:          "POST",
		Headers:         network.Headers{"Content-Type": formType, "Referer": heldBack},
		PostDataEntries: []*network.PostDataEntry{{Bytes: []byte("p=" + heldBack)}, {}},
	}, time.Time{})
	require.NotEmpty(t, gs.Judge(r).Reason)
	r.body = []byte("p=other")
	require.Empty(t, gs.Judge(r).Reason)
}

// TestRedirectsTakeAValueOnlyWhereItMayGo reads answers.
func TestRedirectsTakeAValueOnlyWhereItMayGo(t *testing.T) {
	answer := func(status int64, location string) fetch.EventRequestPaused {
		return fetch.EventRequestPaused{
			ResponseStatusCode: status, Request: &network.Request{URL: goodSite + "/a/b"},
			ResponseHeaders: []*fetch.HeaderEntry{nil, {Name: "X", Value: "y"}, {Name: "location", Value: location}},
		}
	}
	for _, c := range []struct {
		status   int64
		location string
		stays    bool
		why      string
	}{
		{307, "/next", true, "a path"},
		{307, "next", true, "a relative path"},
		{308, goodSite + ":443/next", true, "the same origin"},
		{307, "https://evil.example/", false, "another site"},
		{307, "//evil.example/", false, "another host"},
		{308, "http://login.example.com/", false, "without encryption"},
		{307, "https://[", false, "no address"},
		{303, "https://evil.example/", true, "no body goes along"},
		{200, "https://evil.example/", true, "no redirect"},
	} {
		var switched []bool
		gs := guards(&switched)
		gs.Arm(guardOf(heldBack))
		id := Flight{"s", "r"}
		require.True(t, gs.Judge(Request{
			flight:       id,
			method:       "POST",
			url:          goodSite,
			contentType:  formType,
			body:         []byte("p=" + heldBack),
			bodyComplete: true,
		}).WatchAnswer)
		require.Equal(t, c.stays, gs.Answered(id, RedirectOf(answer(c.status, c.location))) == nil, c.why)
		require.Nil(t, gs.Answered(id, "https://evil.example/"), "asked once: it is on its way no more")
		gs.Close()
	}
}

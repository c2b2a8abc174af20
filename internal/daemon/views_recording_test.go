package daemon

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// goesOnUnderItsReader has a mark come while another one has the focus.
func goesOnUnderItsReader(th *theatre) {
	recording, err := th.shown.Recording(th.Context())
	require.NoError(th, err)
	require.Equal(th, bctrl.RecordingRunning, recording.Status)
	s := th.sit()
	s.open(recording.URL)
	s.until("marks.querySelector('button')", "what happened is listed")
	eval[any](s, "marks.querySelector('button').focus()")
	before := eval[int](s, "marks.childElementCount")
	eval[any](s, `(() => { const ask = window.fetch; window.fetch = async () => {
		window.fetch = ask;
		return new Response('{"code":"server.stopping","error":"the server stops"}', {status: 503});
	}; })()`)
	s.until("document.querySelector('#status').textContent === 'The server cannot be reached'", "it does not answer")
	th.visit("/second")
	s.until(fmt.Sprintf("marks.childElementCount > %d", before), "what happens is added, once it does")
	require.True(s, eval[bool](s, "document.activeElement === marks.querySelector('button')"), "the focus stays")
	th.visit("/")
}

func isPlayed(th *theatre) {
	recording, err := th.shown.Recording(th.Context())
	require.NoError(th, err)
	require.Equal(th, bctrl.RecordingStored, recording.Status)
	s := th.sit()
	s.open(recording.URL)
	s.until("picture.dataset.shown === '0'", "it begins at the first picture")
	s.requireReadable("a recording")
	marks := make([]string, len(recording.Marks))
	for i, m := range recording.Marks {
		marks[i] = "button " + eval[string](s, fmt.Sprintf("marks.querySelectorAll('button')[%d].textContent", i))
		require.Contains(s, marks[i], m.Text)
	}
	for _, kind := range []string{"Pagehttp://localhost", "Steppage.goto", "Persontook over", "Personhanded back"} {
		is := func(mark string) bool { return strings.Contains(mark, kind) }
		require.True(s, slices.ContainsFunc(marks, is), "%s of %q", kind, marks)
	}
	focused := s.tabThrough()
	require.Equal(s, []string{"file", "play", "seek", "speed"}, focused[:4])
	require.Greater(s, len(focused), 5, "each mark")

	eval[any](s, "seek.focus()")
	s.press("End")
	s.until("time.textContent.split(' / ')[0] === time.textContent.split(' / ')[1]", "End goes to the end")
	s.press("Home", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight")
	require.Equal(s, "0:02", eval[string](s, "time.textContent.split(' / ')[0]"))
	require.Contains(s, eval[string](s, "seek.getAttribute('aria-valuetext')"), "2 seconds of ")
	eval[any](s, "marks.querySelector('button:last-child') && [...marks.querySelectorAll('button')].at(-1).focus()")
	s.press("Enter")
	s.until("[...marks.querySelectorAll('button')].at(-1).getAttribute('aria-current') === 'true'", "a mark is gone to")

	eval[any](s, "seek.focus()")
	s.press("Home")
	eval[any](s, "speed.value = '8', play.focus()")
	s.press(" ")
	s.until("play.textContent === 'Pause' && Number(picture.dataset.shown) > 2", "it plays")
	s.until("play.textContent === 'Play' && time.textContent.split(' / ')[0] === time.textContent.split(' / ')[1]",
		"it ends at its end")
	eval[any](s, "document.querySelector('#notice').textContent = 'A picture could not be loaded.'")
	require.Greater(s, eval[float64](s, "columns.clientHeight / innerHeight"), 0.5, "the player keeps its room")
	s.requireOwnRequestsAlone()
}

// isSaidToBeGone deletes the file of the recording.
func isSaidToBeGone(th *theatre) {
	recording, err := th.shown.Recording(th.Context())
	require.NoError(th, err)
	require.NoError(th, th.client.Storage("stage").Delete(th.Context(), recording.Object.LogicalPath))
	s := th.sit()
	s.open(recording.URL)
	s.says("This recording cannot be shown")
	s.says("recordings.not_kept")
	s.requireReadable("a recording that is gone")
	s.requireSpoken("banner", "status", "alert", "main This recording cannot be shown")
}

// isDownloaded clicks the link of the page, and reads the file by the specification of the
// format alone.
func isDownloaded(th *theatre) {
	recording, err := th.shown.Recording(th.Context())
	require.NoError(th, err)
	s := th.sit()
	s.open(recording.URL)
	s.until("!document.querySelector('#file').hidden", "there is a file")
	eval[any](s, "document.querySelector('#file').click()")
	files := th.client.Storage("stage")
	var data []byte
	require.Eventually(s, func() bool {
		r, err := files.Open(th.Context(), "downloads/recording.mov")
		if err != nil {
			return false
		}
		defer r.Close()
		data, err = io.ReadAll(r)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond, "it is downloaded")
	require.Equal(s, recording.Object.SizeBytes, int64(len(data)))

	top := boxes(th, data)
	require.Equal(s, []byte("qt  "), top["ftyp"][:4])
	track := boxes(th, boxes(th, top["moov"])["trak"])
	media := boxes(th, track["mdia"])
	require.Equal(s, "vide", string(media["hdlr"][8:12]))
	table := boxes(th, boxes(th, media["minf"])["stbl"])
	require.Equal(s, "jpeg", string(table["stsd"][12:16]))
	number := func(box string, at int) int { return int(binary.BigEndian.Uint32(table[box][at:])) }
	pictures := number("stsz", 8)
	require.Greater(s, pictures, 5)
	require.Equal(s, pictures, number("co64", 4))
	long := 0
	for i := range pictures {
		at := int(binary.BigEndian.Uint64(table["co64"][8+8*i:]))
		_, err := jpeg.Decode(bytes.NewReader(data[at : at+number("stsz", 12+4*i)]))
		require.NoError(s, err, "picture %d", i)
		long += number("stts", 8+8*i) * number("stts", 8+8*i+4)
	}
	scale := int(binary.BigEndian.Uint32(media["mdhd"][12:]))
	require.InDelta(s, recording.Duration.Seconds(), float64(long)/float64(scale), 0.1)
	about := boxes(th, boxes(th, top["moov"])["udta"])["bctr"]
	require.True(s, json.Valid(about))
	require.NotContains(s, string(about), "token")
}

// boxes are the first of each kind in a box, or in a file.
func boxes(th *theatre, data []byte) map[string][]byte {
	th.Helper()
	found := map[string][]byte{}
	for len(data) >= 8 {
		size, head := int(binary.BigEndian.Uint32(data)), 8
		switch size {
		case 0:
			return found // the end of a list
		case 1:
			size, head = int(binary.BigEndian.Uint64(data[8:])), 16
		}
		require.GreaterOrEqual(th, size, head)
		require.LessOrEqual(th, size, len(data))
		if kind := string(data[4:8]); found[kind] == nil {
			found[kind] = data[head:size]
		}
		data = data[size:]
	}
	return found
}

package devtools

import (
	"encoding/base64"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp/jsonv2"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// streams are those that a client's commands opened, at most maxHandles: the oldest makes
// room, as one whose tab is gone is never closed.
type streams struct {
	byHandle map[string]*stream
	order    []string // oldest first
}

// stream is what was read of one. A value that was filled may be read in as many pieces as
// it has bytes, with other streams between them.
type stream struct {
	spoiled bool   // it may hold what was filled, and is not handed over
	held    []byte // was read, but may begin a filled value
	rewind  bool   // the server has read it, and the client begins anew
}

// rememberStream adds the stream whose handle a result holds; nil is none.
func (f *filter) rememberStream(result jsonv2.Value) *stream {
	var fields params
	if jsonv2.Unmarshal(result, &fields, protocol.PageText()) != nil {
		return nil // the command has failed
	}
	handle := fields.text("stream")
	if handle == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.streams.byHandle[handle]; s != nil {
		return s
	}
	if len(f.streams.order) == maxHandles {
		delete(f.streams.byHandle, f.streams.order[0])
		f.streams.order = slices.Delete(f.streams.order, 0, 1)
	}
	s := new(stream)
	f.streams.byHandle[handle], f.streams.order = s, append(f.streams.order, handle)
	return s
}

// forgetStream forgets a stream that the browser has closed.
func (f *filter) forgetStream(answer message) {
	handle := answer.noted.stream
	if answer.Error != nil || handle == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.streams.byHandle, handle)
	f.streams.order = slices.DeleteFunc(f.streams.order, func(h string) bool { return h == handle })
}

func checkStream(f *filter, p params) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.streams.byHandle[p.text("handle")] == nil {
		return errors.New(notOwn + "the stream is not one of this client")
	}
	return nil
}

// checkRead permits the reading of a stream of the client from its beginning on: from its
// midst, the end of a value would not be seen as one.
func checkRead(f *filter, p params) error {
	if err := checkStream(f, p); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.streams.byHandle[p.text("handle")]; s == nil || s.spoiled {
		return errors.New(holdsFill + "a secret was filled while the trace was made, or stands in the stream")
	}
	if count, _ := f.client.Fills(); count > 0 && p.has("offset") {
		return errors.New(holdsFill + "streams are read from their beginning on once something was filled: " +
			"leave offset out")
	}
	if s := f.streams.byHandle[p.text("handle")]; s.rewind {
		s.rewind, p["offset"] = false, jsonv2.Value("0")
	}
	return nil
}

// holdBack returns what was read of a stream without what may begin a filled value, which
// comes with a later answer once it is known that it does not.
func (f *filter) holdBack(answer message) message {
	if answer.Error != nil {
		return answer
	}
	var read struct {
		Base64Encoded bool   `json:"base64Encoded"`
		Data          string `json:"data"`
		EOF           bool   `json:"eof"`
	}
	if jsonv2.Unmarshal(answer.Result, &read, protocol.PageText()) != nil {
		return filledAnswer(answer, "IO.read")
	}
	data := []byte(read.Data)
	if read.Base64Encoded {
		var err error
		if data, err = base64.StdEncoding.DecodeString(read.Data); err != nil {
			return filledAnswer(answer, "IO.read")
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.streams.byHandle[answer.noted.stream]
	if s == nil || s.spoiled { // it was closed meanwhile, or the value was found in an earlier piece
		return filledAnswer(answer, "IO.read")
	}
	whole := slices.Concat(s.held, data)
	found, open := f.client.FindFilled(whole, read.EOF)
	if found {
		s.spoiled, s.held = true, nil
		return filledAnswer(answer, "IO.read")
	}
	if open == 0 && len(s.held) == 0 {
		return answer
	}
	end := len(whole) - open
	for !read.Base64Encoded && end > 0 && end < len(whole) && !utf8.RuneStart(whole[end]) {
		end-- // a text is cut between characters
	}
	s.held, read.Data = slices.Clone(whole[end:]), string(whole[:end])
	if read.Base64Encoded {
		read.Data = base64.StdEncoding.EncodeToString(whole[:end])
	}
	result, err := jsonv2.Marshal(read, protocol.PageText())
	if err != nil {
		return filledAnswer(answer, "IO.read")
	}
	answer.Result = result
	return answer
}

package files

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

// browsed is a page that is encoded in half of the time that encoding/json takes, and without an
// allocation a file.
type browsed struct{ bctrl.BrowsePage }

// Encode writes the members that [json.Marshal] does, not in its order.
func (b browsed) Encode() ([]byte, error) {
	folders, err := json.Marshal(b.Folders)
	if err != nil {
		return nil, err
	}
	next, err := b.NextCursor.MarshalJSON()
	if err != nil {
		return nil, err
	}
	const fileRoom = 640 // bytes of most files
	text := make([]byte, 0, len(b.Files)*fileRoom+len(folders)+len(next)+64)
	text = append(text, `{"files":[`...)
	for i := range b.Files {
		if i > 0 {
			text = append(text, ',')
		}
		if text, err = appendFile(text, &b.Files[i]); err != nil {
			return nil, err
		}
	}
	text = append(text, `],"folders":`...)
	text = append(text, folders...)
	text = append(text, `,"nextCursor":`...)
	return append(append(text, next...), '}'), nil
}

func appendFile(text []byte, o *bctrl.StorageObject) (_ []byte, err error) {
	text = append(text, `{"sizeBytes":`...)
	text = strconv.AppendInt(text, o.SizeBytes, 10)
	for _, field := range [...]struct {
		name, value string
		always      bool
	}{
		{`,"id":`, o.ID, true},
		{`,"workspace":`, o.Workspace, true},
		{`,"logicalPath":`, o.LogicalPath, true},
		{`,"objectKey":`, o.ObjectKey, true},
		{`,"filename":`, o.Filename, true},
		{`,"contentType":`, o.ContentType, true},
		{`,"sha256":`, o.SHA256, true},
		{`,"source":`, string(o.Source), false},
		{`,"runtimeId":`, o.RuntimeID, false},
		{`,"driver":`, string(o.Driver), false},
		{`,"target":`, o.Target, false},
		{`,"etag":`, o.ETag, true},
	} {
		if field.value == "" && !field.always {
			continue
		}
		text = append(text, field.name...)
		if text, err = appendText(text, field.value); err != nil {
			return nil, err
		}
	}
	text = append(text, `,"createdAt":`...)
	if text, err = appendTime(text, o.CreatedAt); err != nil {
		return nil, err
	}
	if !o.ExpiresAt.IsZero() {
		text = append(text, `,"expiresAt":`...)
		if text, err = appendTime(text, o.ExpiresAt); err != nil {
			return nil, err
		}
	}
	return append(text, '}'), nil
}

// appendText writes a string; one that holds more than plain ASCII and quotes is left to
// encoding/json.
func appendText(text []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' || c == '<' || c == '>' || c == '&' {
			whole, err := json.Marshal(s)
			return append(text, whole...), err
		}
	}
	text = append(text, '"')
	for {
		plain, rest, quote := strings.Cut(s, `"`)
		text = append(text, plain...)
		if !quote {
			return append(text, '"'), nil
		}
		text, s = append(text, '\\', '"'), rest
	}
}

func appendTime(text []byte, t time.Time) ([]byte, error) {
	text, err := t.AppendText(append(text, '"'))
	return append(text, '"'), err
}

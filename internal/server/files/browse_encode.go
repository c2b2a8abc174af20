package files

import (
	"encoding/json"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// browsed is a page of files and folders. It is encoded in a third of the time that encoding/json
// takes, from what the store has, and without an allocation a file.
type browsed struct {
	files   []store.Object
	folders []store.Folder
	// next is the cursor of the page after this one, if there is one.
	next string
}

// Encode writes the members of a [bctrl.BrowsePage], as [json.Marshal] does but not in its order.
func (b browsed) Encode() ([]byte, error) {
	next, err := bctrl.Cursor(b.next).MarshalJSON()
	if err != nil {
		return nil, err
	}
	const fileRoom, folderRoom = 480, 160 // bytes of most files and folders
	text := make([]byte, 0, len(b.files)*fileRoom+len(b.folders)*folderRoom+len(next)+64)
	text = append(text, `{"files":[`...)
	for i := range b.files {
		if i > 0 {
			text = append(text, ',')
		}
		if text, err = appendFile(text, &b.files[i]); err != nil {
			return nil, err
		}
	}
	text = append(text, `],"folders":[`...)
	for i, f := range b.folders {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendText(text, `{"path":`, f.Path)
		text = appendNumber(text, `,"fileCount":`, f.FileCount)
		text = append(appendNumber(text, `,"totalBytes":`, f.TotalBytes), '}')
	}
	text = append(text, `],"nextCursor":`...)
	return append(append(text, next...), '}'), nil
}

// appendFile writes what [describeObject] makes of a file.
func appendFile(text []byte, o *store.Object) (_ []byte, err error) {
	text = appendNumber(text, `{"sizeBytes":`, o.SizeBytes)
	text = appendText(text, `,"id":`, o.ID)
	text = append(text, `,"etag":"\"`...) // as etag has it
	text = append(appendInside(text, o.ID), `\""`...)
	text = appendText(text, `,"workspace":`, o.Namespace)
	text = appendText(text, `,"logicalPath":`, o.Path)
	text = append(text, `,"objectKey":"`...) // as objectKey has it
	text = append(appendInside(text, o.Namespace), '/')
	text = append(appendInside(text, o.Path), '"')
	text = appendText(text, `,"filename":`, o.Filename)
	text = appendText(text, `,"contentType":`, o.ContentType)
	text = appendText(text, `,"sha256":`, o.SHA256)
	text = appendSome(text, `,"source":`, string(o.Source))
	text = appendSome(text, `,"runtimeId":`, o.RuntimeID)
	text = appendSome(text, `,"driver":`, string(o.Driver))
	text = appendSome(text, `,"target":`, o.Target)
	text = append(text, `,"createdAt":"`...)
	text, err = o.CreatedAt.AppendText(text)
	return append(text, `"}`...), err
}

func appendNumber(text []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(text, name...), n, 10)
}

// appendSome is [appendText] of a member that is left out where it is empty.
func appendSome(text []byte, name, s string) []byte {
	if s == "" {
		return text
	}
	return appendText(text, name, s)
}

func appendText(text []byte, name, s string) []byte {
	text = append(append(text, name...), '"')
	return append(appendInside(text, s), '"')
}

// appendInside writes what stands between the quotes of a string. One that holds more than plain
// ASCII is left to encoding/json.
func appendInside(text []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			whole, _ := json.Marshal(s) // which takes every string
			return append(text, whole[1:len(whole)-1]...)
		}
	}
	return append(text, s...)
}

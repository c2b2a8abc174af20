package bctrl

import (
	"bytes"
	"encoding/json"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// browsed is a [BrowsePage] that is decoded in a fraction of the time that
// encoding/json takes: of a page of 1,000 files that is most of what browsing costs.
type browsed struct{ *BrowsePage }

// Decode does what [json.Unmarshal] does.
func (b browsed) Decode(answer []byte) error {
	if b.decodePlain(answer) {
		return nil
	}
	*b.BrowsePage = BrowsePage{}
	return json.Unmarshal(answer, b.BrowsePage)
}

// decodePlain reports whether the answer is as servers write it.
func (b browsed) decodePlain(answer []byte) bool {
	p := wire.NewPlain(answer)
	p.Members(func(name []byte) {
		switch string(name) {
		case "files":
			if b.Files != nil { // encoding/json has rules of its own for a second one
				p.Fail()
			}
			b.Files = make([]StorageObject, 0, bytes.Count(answer, []byte(`"logicalPath":`)))
			p.Elements(func() { b.Files = append(b.Files, decodeFile(p)) })
		case "folders":
			if b.Folders != nil {
				p.Fail()
			}
			b.Folders = []StorageFolder{}
			p.Elements(func() { b.Folders = append(b.Folders, decodeFolder(p)) })
		case "nextCursor":
			if !p.Null() {
				b.NextCursor = Cursor(p.Text())
			}
		default:
			p.Fail()
		}
	})
	return p.OK()
}

func decodeFile(p *wire.Plain) (o StorageObject) {
	p.Members(func(name []byte) {
		switch string(name) {
		case "id":
			o.ID = string(p.Text())
		case "workspace":
			o.Workspace = string(p.Text())
		case "logicalPath":
			o.LogicalPath = string(p.Text())
		case "objectKey":
			o.ObjectKey = string(p.Text())
		case "filename":
			o.Filename = string(p.Text())
		case "sizeBytes":
			o.SizeBytes = p.Number()
		case "contentType":
			o.ContentType = string(p.Text())
		case "sha256":
			o.SHA256 = string(p.Text())
		case "source":
			o.Source = StorageSource(p.Text())
		case "runtimeId":
			o.RuntimeID = string(p.Text())
		case "driver":
			o.Driver = Driver(p.Text())
		case "target":
			o.Target = string(p.Text())
		case "etag":
			o.ETag = string(p.Text())
		case "createdAt":
			if o.CreatedAt.UnmarshalText(p.Text()) != nil {
				p.Fail()
			}
		default: // also of those that servers do not write yet
			p.Fail()
		}
	})
	return o
}

func decodeFolder(p *wire.Plain) (f StorageFolder) {
	p.Members(func(name []byte) {
		switch string(name) {
		case "path":
			f.Path = string(p.Text())
		case "fileCount":
			f.FileCount = p.Number()
		case "totalBytes":
			f.TotalBytes = p.Number()
		default:
			p.Fail()
		}
	})
	return f
}

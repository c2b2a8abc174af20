package files

import (
	"mime"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Incoming is a file to be stored.
type Incoming struct {
	// Namespace and Path are where it is kept. The path is brought to NFC.
	Namespace, Path string
	// Filename is what a download is called; empty for the end of Path.
	Filename string
	// ContentType is kept as it is. Empty, or application/octet-stream, which
	// says nothing, is replaced by what the first bytes look like.
	ContentType string
	// Source is how it came here.
	Source bctrl.StorageSource
	// RuntimeID and Driver are of the runtime that made it; empty where none did.
	RuntimeID string
	Driver    bctrl.Driver
	// Target says where in the runtime it came from.
	Target string
	// IfMatch and IfNoneMatch are lists of entity tags that the file which is there
	// now must and must not have (RFC 9110 §13.1); empty asks nothing.
	IfMatch, IfNoneMatch string
	// SHA256 is the hash, 32 bytes, that the bytes must have; nil is any.
	SHA256 []byte
	// Unique never overwrites: "report.csv" becomes "report (2).csv".
	Unique bool
}

// check refuses what cannot be kept. The path is checked at the border.
func (f Incoming) check() error {
	if err := validNamespace(f.Namespace); err != nil {
		return err
	}
	var p web.Problems
	if f.Filename != "" && (strings.Contains(f.Filename, "/") || bctrl.ValidStoragePath(f.Filename) != nil) {
		p.Add("storage.invalid_filename", "filename", "the file name must be one segment of a storage path")
	}
	if f.ContentType != "" && !isPlainContentType(f.ContentType) {
		p.Add("storage.invalid_content_type", "Content-Type",
			"the content type must be type/subtype with parameters, in ASCII")
	}
	sources := []bctrl.StorageSource{
		bctrl.SourceUpload, bctrl.SourceDownload, bctrl.SourceScreenshot, bctrl.SourceRecording,
		bctrl.SourcePDF,
	}
	if !slices.Contains(sources, f.Source) {
		p.Add("storage.invalid_source", "source",
			"the source must be upload, download, screenshot, recording or pdf")
	}
	if f.RuntimeID != "" && names.CanonicalUUID(f.RuntimeID) != nil {
		p.Add("storage.invalid_runtime", "runtimeId", "runtimeId must be a runtime's id")
	}
	if f.Driver != "" && names.Name(string(f.Driver)) != nil {
		p.Add("storage.invalid_driver", "driver", "there can be no such driver")
	}
	p.Limit("target", len(f.Target), maxTarget)
	if strings.ToValidUTF8(f.Target, "") != f.Target {
		p.Add("storage.invalid_target", "target", "the target is not valid UTF-8")
	}
	return p.Err()
}

// The limits of what is kept beside a file, in bytes.
const (
	maxContentType = 255
	maxTarget      = 1024
)

func isPlainContentType(text string) bool {
	if len(text) > maxContentType || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(text)
	return err == nil && strings.Contains(mediaType, "/")
}

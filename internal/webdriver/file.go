package webdriver

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"path"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// File is what a client brings for a page, as Selenium sends it.
type File struct {
	Name    string
	Content io.ReadCloser
}

// ReadFile reads the body of a file: a zip file with the one that is brought, in Base64.
func ReadFile(body []byte) (File, error) {
	var sent struct {
		File []byte `json:"file"`
	}
	if json.Unmarshal(body, &sent) != nil {
		return File{}, errNoFile
	}
	archive, err := zip.NewReader(bytes.NewReader(sent.File), int64(len(sent.File)))
	if err != nil || len(archive.File) != 1 || !archive.File[0].Mode().IsRegular() {
		return File{}, errNoFile
	}
	entry := archive.File[0]
	name := path.Base(entry.Name)
	if name == "." || name == ".." || name == "/" || len(name) > 255 || entry.UncompressedSize64 > maxFile {
		return File{}, errNoFile
	}
	content, err := entry.Open()
	if err != nil {
		return File{}, errNoFile
	}
	return File{name, &limited{content, maxFile}}, nil
}

// maxFile bounds a file that a client brings, in bytes.
const maxFile = 64 << 20

var errNoFile = refuse("runtimes.webdriver_file", "file",
	"this is not a zip file in Base64 that holds one file of at most 64 MiB")

// limited refuses what its archive does not describe truly: bytes that are not those of
// its checksum, or more of them than it may have.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (n int, err error) {
	n, err = l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 || err != nil && err != io.EOF {
		return n, errNoFile
	}
	return n, err
}

// Text is the answer of a command that returns text.
func Text(s string) ([]byte, error) { return strictjson.Marshal(value[string]{s}) }

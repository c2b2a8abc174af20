package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// maxFilePath is the longest path of a file there is, in bytes.
const maxFilePath = 1024

// Files are those of the mounted storage. The implementation decides and audits; what it
// refuses is told to the model as with [Logins].
type Files interface {
	// Open returns a file for a page to read. The path comes from the model. The bytes
	// are decided about once more when they are read.
	Open(ctx context.Context, path string) (browser.File, error)
	// Read returns at most limit bytes of what a file says, a PDF or a text. What is
	// neither is refused.
	Read(ctx context.Context, path string, limit int) (text string, truncated bool, err error)
}

// fileTools give files of the mounted storage to pages.
func fileTools() []tool {
	return []tool{define[uploadFiles]("upload",
		"Give files of the mounted storage to the page: to a file input, to the button that asks for a file, or to an area "+
			"that files are dropped on.",
		ref+`,"paths":{"type":"array","items":{"type":"string"},`+
			`"description":"Where the files lie in storage, such as those listed under Downloads."}`, "ref", "paths")}
}

type uploadFiles struct {
	Ref   string   `json:"ref"`
	Paths []string `json:"paths"`
}

func (a uploadFiles) do(ctx context.Context, r *run) (outcome, error) {
	switch {
	case r.deps.Files == nil:
		return refuse("not done: no storage is mounted"), nil
	case len(a.Paths) == 0 || len(a.Paths) > browser.MaxFiles:
		return refuse(fmt.Sprintf("not done: paths lists 1 to %d files", browser.MaxFiles)), nil
	}
	for _, path := range a.Paths {
		if path == "" || len(path) > maxFilePath {
			return refuse(fmt.Sprintf("not done: a path is empty, or longer than %d bytes", maxFilePath)), nil
		}
	}
	e, unknown, ok := r.element(a.Ref)
	if !ok {
		return unknown, nil
	}
	r.progress("upload", strings.Join(a.Paths, ", "))
	done := bctrl.ActAction{Kind: "upload", Target: describe(e), Element: r.elementDescription(e)}
	var files []browser.File
	for _, path := range a.Paths {
		f, err := r.deps.Files.Open(ctx, path)
		if err != nil {
			if !isRefusal(ctx, err) {
				return outcome{}, fmt.Errorf("open a file to upload: %w", err)
			}
			return r.afterAction(ctx, done, err, "")
		}
		files = append(files, f)
	}
	return r.afterAction(ctx, done, r.page.SetFiles(ctx, e.Ref, files), fmt.Sprintf("the page has %d files", len(files)))
}

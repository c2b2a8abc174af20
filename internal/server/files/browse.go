package files

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// browseFiles lists files by path or, with a delimiter, the files and
// folders of one level. A page costs what it shows, whatever lies beside and
// below: folders are rows with their sums.
func (s *Service) browseFiles(ctx context.Context, rq *web.Request, _ web.None) (out browsed, err error) {
	namespace, err := rq.Path("ns", validNamespace)
	if err != nil {
		return out, err
	}
	limit, after, err := rq.Page()
	if err != nil {
		return out, err
	}
	prefix, err := canonicalPrefix("prefix", rq.Query.Get("prefix"))
	if err != nil {
		return out, err
	}
	delimiter := rq.Query.Get("delimiter")
	if delimiter != "" && delimiter != "/" {
		return out, web.Invalid("storage.invalid_delimiter", "delimiter", "the delimiter must be / or absent")
	}
	if err := rq.Authorize(namespace); err != nil {
		return out, err
	}
	asked := store.PathRange{Prefix: prefix, After: after, Limit: limit + 1}
	files, folders, err := s.browse(ctx, rq.Caller.Org, namespace, delimiter, asked)
	if err != nil {
		return out, err
	}
	return firstOf(files, folders, limit), nil
}

// browse returns files and folders, each in the order of their paths.
func (s *Service) browse(
	ctx context.Context, org, namespace, delimiter string, r store.PathRange,
) (files []store.Object, folders []store.Folder, err error) {
	if delimiter == "" {
		files, err = s.DB.Read().Files(ctx, org, namespace, r)
		return files, nil, err
	}
	if files, err = s.DB.Read().FilesIn(ctx, org, namespace, r); err != nil {
		return nil, nil, err
	}
	folders, err = s.DB.Read().FoldersIn(ctx, org, namespace, r)
	return files, folders, err
}

// firstOf is a page of files and folders in the order of their paths together.
func firstOf(files []store.Object, folders []store.Folder, limit int) (page browsed) {
	last, i, j := "", 0, 0
	for i+j < limit && i+j < len(files)+len(folders) {
		if j == len(folders) || i < len(files) && files[i].Path < folders[j].Path {
			last = files[i].Path
			i++
		} else {
			last = folders[j].Path
			j++
		}
	}
	page.files, page.folders = files[:i], folders[:j]
	if i+j < len(files)+len(folders) {
		page.next = web.CursorOf(last)
	}
	return page
}

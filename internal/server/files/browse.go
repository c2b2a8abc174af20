package files

import (
	"context"

	"github.com/bctrl-go/bctrl"
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
	items, err := s.browse(ctx, rq.Caller.Org, namespace, delimiter, asked)
	if err != nil {
		return out, err
	}
	items, next := web.PageOf(items, limit, func(i bctrl.StorageItem) string { return i.Path })
	out.BrowsePage = bctrl.BrowsePage{
		Files:      make([]bctrl.StorageObject, 0, len(items)),
		Folders:    []bctrl.StorageFolder{},
		NextCursor: bctrl.Cursor(next),
	}
	for _, item := range items {
		if item.File != nil {
			out.Files = append(out.Files, *item.File)
		} else {
			out.Folders = append(out.Folders, *item.Folder)
		}
	}
	return out, nil
}

// browse returns files and folders in the order of their paths.
func (s *Service) browse(
	ctx context.Context, org, namespace, delimiter string, r store.PathRange,
) ([]bctrl.StorageItem, error) {
	list := s.DB.Read().Files
	if delimiter != "" {
		list = s.DB.Read().FilesIn
	}
	found, err := list(ctx, org, namespace, r)
	if err != nil {
		return nil, err
	}
	var folders []store.Folder
	if delimiter != "" {
		if folders, err = s.DB.Read().FoldersIn(ctx, org, namespace, r); err != nil {
			return nil, err
		}
	}
	var items []bctrl.StorageItem
	for len(items) < r.Limit && len(found)+len(folders) > 0 {
		if len(folders) == 0 || len(found) > 0 && found[0].Path < folders[0].Path {
			object := describeObject(found[0])
			items = append(items, bctrl.StorageItem{Path: object.LogicalPath, File: &object})
			found = found[1:]
			continue
		}
		f := bctrl.StorageFolder{
			Path:       folders[0].Path,
			FileCount:  folders[0].FileCount,
			TotalBytes: folders[0].TotalBytes,
		}
		items = append(items, bctrl.StorageItem{Path: f.Path, Folder: &f})
		folders = folders[1:]
	}
	return items, nil
}

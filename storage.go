package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// clientFolder is where clients of a browser find the namespace of its runtime.
const clientFolder = "/storage/"

// ClientPath is what a client that drives a runtime's browser over [Runtime.ConnectURL]
// calls a file of the runtime's storage, where its library takes the path of a file:
// puppeteer's uploadFile, rod's SetFiles, chromedp's SetUploadFiles. It has nothing to do
// with the disk of any machine.
func ClientPath(path string) string { return clientFolder + path }

// StorageSource says how an object came to be.
type StorageSource string

// The sources of storage objects.
const (
	SourceUpload     StorageSource = "upload"
	SourceDownload   StorageSource = "download"
	SourceScreenshot StorageSource = "screenshot"
	SourceRecording  StorageSource = "recording"
	SourcePDF        StorageSource = "pdf"
)

// StorageObject describes one stored file.
type StorageObject struct {
	// ID is the object's own id, new with every overwrite.
	ID string `json:"id"`
	// Workspace is the namespace that holds it.
	Workspace string `json:"workspace"`
	// LogicalPath is its path in the namespace: "exports/q1.csv".
	LogicalPath string `json:"logicalPath"`
	// ObjectKey is the namespace and the path: "sales-exports/exports/q1.csv".
	ObjectKey string `json:"objectKey"`
	// Filename is what a download is called; a suggestion, never a path.
	Filename    string `json:"filename"`
	SizeBytes   int64  `json:"sizeBytes"`
	ContentType string `json:"contentType"`
	// SHA256 of the content in lower-case hexadecimal.
	SHA256 string        `json:"sha256"`
	Source StorageSource `json:"source,omitempty"`
	// RuntimeID, Driver and Target say which runtime made it and from where.
	RuntimeID string    `json:"runtimeId,omitempty"`
	Driver    Driver    `json:"driver,omitempty"`
	Target    string    `json:"target,omitempty"`
	ETag      string    `json:"etag"`
	CreatedAt time.Time `json:"createdAt"`
	// ExpiresAt is zero for an object that is kept.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// StorageFolder sums up everything below one folder.
type StorageFolder struct {
	// Path ends in the delimiter: "exports/".
	Path       string `json:"path"`
	FileCount  int64  `json:"fileCount"`
	TotalBytes int64  `json:"totalBytes"`
}

// StorageItem is what browsing finds: a file or a folder.
type StorageItem struct {
	// Path of the file or, with its delimiter at the end, of the folder.
	Path string
	// File is nil for a folder, Folder nil for a file.
	File   *StorageObject
	Folder *StorageFolder
}

// BrowseOptions selects what [Storage.Browse] lists.
type BrowseOptions struct {
	// Prefix is the start of the paths, for example "exports/".
	Prefix string
	// Delimiter groups paths into folders. Empty lists every file below
	// Prefix, "/" one level.
	Delimiter string
}

// BrowsePage is one page of [Storage.BrowsePage].
type BrowsePage struct {
	Files      []StorageObject `json:"files"`
	Folders    []StorageFolder `json:"folders"`
	NextCursor Cursor          `json:"nextCursor"`
}

// ObjectFilter selects objects of a namespace's catalog. Empty fields match
// everything.
type ObjectFilter struct {
	RuntimeID  string
	Source     StorageSource
	Driver     Driver
	Target     string
	PathPrefix string
}

// Storage is the files of one namespace. See [Client.Storage] and, limited to
// what a runtime may use, [Runtime.Storage].
type Storage struct {
	named  string // the namespace, where limits is nil
	via    via
	limits *limits // nil for the caller's own authority
}

const (
	pathObjects = "/v1/storage/objects"
	pathBrowse  = "/v1/storage/namespaces/{namespace}/browse"
	pathFile    = "/v1/storage/namespaces/{namespace}/files/{path}"
)

// maxHeldFile bounds [Storage.Get], which holds the file in memory.
const maxHeldFile = 64 << 20

// Namespace returns the namespace; empty for a runtime without storage. That of a
// runtime is the one that its mounts give, as they were last read.
func (s *Storage) Namespace() string {
	if s.limits == nil {
		return s.named
	}
	return s.limits.mounts().Storage.namespace()
}

// Get returns the content of a file of at most 64 MiB; a longer one is
// [ErrTooLarge], and [Storage.Open] streams it. A missing file is
// [ErrNotFound].
//
// Access: storage.get
func (s *Storage) Get(ctx context.Context, path string, opts ...CallOption) ([]byte, error) {
	o := opening{opts: opts}
	r, err := s.download(ctx, path, &o)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if r.Length > maxHeldFile {
		return nil, s.failed(http.MethodGet, refusal(http.StatusRequestEntityTooLarge, "storage.too_large", "path",
			"the file is longer than 64 MiB").hinted("use Open"))
	}
	content, err := readBounded(r, r.Length, maxHeldFile)
	if err == errTooLong {
		err = s.failed(http.MethodGet, refusal(http.StatusRequestEntityTooLarge, "storage.too_large", "path",
			"the file is longer than 64 MiB").hinted("use Open"))
	}
	return content, err
}

// Stat describes a file.
//
// Access: storage.get
func (s *Storage) Stat(ctx context.Context, path string, opts ...CallOption) (*StorageObject, error) {
	r := &request{method: http.MethodHead, path: pathFile, opts: opts}
	if err := s.about(r, GetStorage, path); err != nil {
		return nil, err
	}
	header, err := s.via().callHeader(ctx, r)
	if err != nil {
		return nil, err
	}
	object := s.described(header, path)
	return &object, nil
}

// Delete removes a file. A missing file is [ErrNotFound].
//
// Access: storage.delete
func (s *Storage) Delete(ctx context.Context, path string, opts ...CallOption) error {
	r := &request{method: http.MethodDelete, path: pathFile, opts: opts}
	if err := s.about(r, DeleteStorage, path); err != nil {
		return err
	}
	return s.via().call(ctx, r)
}

// DownloadURL returns an address from which anybody can download the file as
// it is now, until ttl has passed (zero: the server's default) or the file
// changes. It ends sooner with the key or token that asks for it. One that a
// runtime asks for ends with the runtime too, and while its mounts do not
// permit the namespace: for longer, ask through [Client.Storage].
//
// Access: storage.sign
func (s *Storage) DownloadURL(ctx context.Context, path string, ttl time.Duration, opts ...CallOption) (string, error) {
	var out wire.SignedURL
	r := &request{
		method: http.MethodGet,
		path:   pathFile + "/download-url",
		query:  queryOf("ttlMs", millisText(ttl)),
		out:    &out,
		opts:   opts,
	}
	if err := s.about(r, SignStorage, path); err != nil {
		return "", err
	}
	err := s.via().call(ctx, r)
	return r.said(out.URL.Reveal(), err)
}

// Browse ranges over files and folders in the order of their paths.
//
// Access: storage.list
func (s *Storage) Browse(ctx context.Context, o BrowseOptions, opts ...CallOption) iter.Seq2[StorageItem, error] {
	return paged(func(p PageOptions) ([]StorageItem, Cursor, error) {
		page, err := s.BrowsePage(ctx, o, p, opts...)
		if err != nil {
			return nil, "", err
		}
		return page.items(), page.NextCursor, nil
	})
}

// BrowsePage fetches one page of [Storage.Browse].
//
// Access: storage.list
func (s *Storage) BrowsePage(
	ctx context.Context, o BrowseOptions, p PageOptions, opts ...CallOption,
) (*BrowsePage, error) {
	var out BrowsePage
	r := &request{
		method: http.MethodGet,
		path:   pathBrowse,
		params: []string{s.Namespace()},
		as:     s.limits,
		out:    browseAnswer{&out},
		opts:   opts,
		query:  listQuery(queryOf("prefix", o.Prefix, "delimiter", o.Delimiter), p),
	}
	if err := s.permitted(r, ListStorage); err != nil {
		return nil, err
	}
	if err := s.via().call(ctx, r); err != nil {
		return nil, err
	}
	if out.Files == nil { // what answers is no server of files
		return nil, (&exchange{r: r}).fail(errNotAsExpected())
	}
	return &out, nil
}

// items merges the page's files and folders, each in order, by their paths.
func (p *BrowsePage) items() []StorageItem {
	items := make([]StorageItem, 0, len(p.Files)+len(p.Folders))
	files, folders := p.Files, p.Folders
	for len(files)+len(folders) > 0 {
		if len(folders) == 0 || len(files) > 0 && files[0].LogicalPath < folders[0].Path {
			items = append(items, StorageItem{Path: files[0].LogicalPath, File: &files[0]})
			files = files[1:]
			continue
		}
		items = append(items, StorageItem{Path: folders[0].Path, Folder: &folders[0]})
		folders = folders[1:]
	}
	return items
}

// Objects ranges over the namespace's catalog: what each file is, where it
// came from, and which runtime made it.
//
// Access: storage.list
func (s *Storage) Objects(ctx context.Context, f ObjectFilter, opts ...CallOption) iter.Seq2[StorageObject, error] {
	if err := s.permitted(&request{method: http.MethodGet, path: pathObjects}, ListStorage); err != nil {
		return refusedSeq[StorageObject](err)
	}
	return s.objects(f).all(ctx, opts)
}

// ObjectsPage fetches one page of [Storage.Objects].
//
// Access: storage.list
func (s *Storage) ObjectsPage(
	ctx context.Context, f ObjectFilter, p PageOptions, opts ...CallOption,
) (*Page[StorageObject], error) {
	if err := s.permitted(&request{method: http.MethodGet, path: pathObjects}, ListStorage); err != nil {
		return nil, err
	}
	return s.objects(f).page(ctx, p, opts)
}

func (s *Storage) objects(f ObjectFilter) listing[StorageObject] {
	return listing[StorageObject]{
		via:    s.via,
		as:     s.limits,
		path:   pathObjects,
		plural: wire.StorageObjects,
		query: []string{
			"workspace", s.Namespace(), "runtimeId", f.RuntimeID, "source", string(f.Source),
			"driver", string(f.Driver), "target", f.Target, "pathPrefix", f.PathPrefix,
		},
	}
}

// about makes r a request about one file, if the path is one and the mounts
// permit it.
func (s *Storage) about(r *request, right Verb, path string) error {
	if err := s.permitted(r, right); err != nil {
		return err
	}
	if err := sendableStoragePath(path); err != nil {
		return s.failed(r.method, err)
	}
	r.params, r.as = []string{s.Namespace(), path}, s.limits
	return nil
}

// permitted refuses a namespace that the mounts do not permit, and one that is
// none.
func (s *Storage) permitted(r *request, right Verb) error {
	namespace := s.Namespace()
	if s.limits != nil && namespace == "" {
		return (&exchange{r: r}).fail(outside(right, "the mounts permit no storage",
			"mount storage at the workspace, and do not drop it at the runtime"))
	}
	if err := checkSegment("namespace", namespace); err != nil {
		return (&exchange{r: r}).fail(err)
	}
	return nil
}

func (s *Storage) failed(method string, err error) error {
	return (&exchange{r: &request{method: method, path: pathFile}}).fail(err)
}

// described reads the description of a file from the header of an answer.
func (s *Storage) described(h http.Header, path string) StorageObject {
	var object StorageObject
	if wire.DecodeObject(h, &object) == nil {
		return object
	}
	created, _ := http.ParseTime(h.Get("Last-Modified")) // zero when the server does not say
	return StorageObject{
		Workspace:   s.Namespace(),
		LogicalPath: path,
		SizeBytes:   lengthOf(h),
		ContentType: h.Get("Content-Type"),
		ETag:        h.Get("Etag"),
		CreatedAt:   created,
	}
}

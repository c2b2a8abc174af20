package bctrl

import "time"

// StorageSource says how an object came to be.
type StorageSource string

// The sources of storage objects.
const (
	SourceUpload     StorageSource = "upload"
	SourceDownload   StorageSource = "download"
	SourceScreenshot StorageSource = "screenshot"
	SourceRecording  StorageSource = "recording"
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

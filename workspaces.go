package bctrl

import "time"

// WorkspaceInfo is what the server knows of a workspace.
type WorkspaceInfo struct {
	ID string `json:"id"`
	// Name is unique in the organization.
	Name string `json:"name"`
	// Mounts are the ceiling of everything inside.
	Mounts Mounts `json:"mounts"`
	// Version counts changes, from 1; an update names the version it changes.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// WorkspaceCreate is a new workspace.
type WorkspaceCreate struct {
	// Name matches ^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$.
	Name   string `json:"name"`
	Mounts Mounts `json:"mounts,omitzero"`
}

// WorkspaceUpdate changes what is not nil. Mounts replace the old ones as a
// whole, and hold for live runtimes from their next call on.
type WorkspaceUpdate struct {
	Name   *string `json:"name,omitempty"`
	Mounts *Mounts `json:"mounts,omitempty"`
}

// WorkspaceState is what a workspace holds now.
type WorkspaceState struct {
	Workspace WorkspaceInfo `json:"workspace"`
	// Runtimes that are live: starting or active.
	Runtimes []RuntimeInfo `json:"runtimes"`
	// Operations that are queued or running.
	Operations []OperationInfo `json:"operations"`
	Storage    StorageUsage    `json:"storage"`
}

// StorageUsage sums up a namespace.
type StorageUsage struct {
	Namespace  string `json:"namespace"`
	FileCount  int64  `json:"fileCount"`
	TotalBytes int64  `json:"totalBytes"`
}

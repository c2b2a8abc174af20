// Package bctrl is the Go SDK for BCTRL workspaces.
package bctrl

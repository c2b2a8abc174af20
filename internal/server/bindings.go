package server

import (
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// bindingRecord binds all that is said of a binding to its seal.
func bindingRecord(org string, row store.Binding) seal.Record {
	return sealOf("binding", org, row.UID, row.Version, row.Scope.WorkspaceID(), row.Scope.GroupID(), row.Target, row.Consumer, row.Field, row.Secret)
}

// proveBinding holds a row to its seal.
func (s *Server) proveBinding(org string, row store.Binding) error {
	return s.prove(bindingRecord(org, row), row.Sealed, "credentials.tampered")
}

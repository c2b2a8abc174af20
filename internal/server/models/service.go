// Package models keeps AI credentials: the keys of makers of language models,
// and which of them the mounts of a runtime permit. Choosing one for a call, and
// the call, are of package calls.
package models

import (
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// Service answers the routes of AI credentials.
type Service struct {
	*web.Kernel
	// broker checks the addresses and keys that a credential is stored with.
	broker *broker.Broker
}

// New makes the service.
func New(k *web.Kernel, b *broker.Broker) *Service { return &Service{k, b} }

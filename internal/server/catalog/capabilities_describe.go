package catalog

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// capabilityMeta is what a stored capability permits, and with which credential.
type capabilityMeta struct {
	Description string   `json:"description,omitempty"`
	Methods     []string `json:"methods"`
	Paths       []string `json:"paths"`
	Host        string   `json:"host,omitempty"`
	Credential  string   `json:"credential,omitempty"`
}

// capabilityRecord is what the seal of a capability covers.
func capabilityRecord(org string, row store.Capability) seal.Record {
	return sealOf("capability", org, row.UID, row.Version, row.ID, string(row.Meta))
}

// VerifyCapability checks the seal of an own capability's row, and describes it
// without policy and status. It returns capabilities.tampered where the row is not
// as it was sealed.
func (s *Service) VerifyCapability(org string, row store.Capability) (bctrl.Capability, error) {
	var meta capabilityMeta
	err := s.verifyRecord(capabilityRecord(org, row), row.Sealed, "capabilities.tampered")
	if err == nil && json.Unmarshal(row.Meta, &meta) != nil {
		err = web.Tampered("capabilities.tampered")
	}
	return s.describeOwn(row, meta), err
}

// BuiltinCapability describes a capability that the registry has of a provider,
// without policy and status.
func BuiltinCapability(p registry.Provider, c registry.Capability) bctrl.Capability {
	out := bctrl.Capability{
		ID:          c.ID,
		Provider:    p.ID,
		Description: c.Description,
		Methods:     c.Methods,
		Paths:       c.Paths,
		Hosts:       p.Hosts,
		Model:       c.Model,
		Builtin:     true,
		Docs:        p.Docs,
		Secrets:     secretsOf(p),
	}
	if c.Host != "" {
		out.Hosts = []string{c.Host}
	}
	out.Example = exampleOf(out)
	return out
}

// describeOwn describes a stored capability, without policy and status. What it leaves
// open, the registry says of its provider.
func (s *Service) describeOwn(row store.Capability, meta capabilityMeta) bctrl.Capability {
	provider, _, _ := strings.Cut(row.ID, "/")
	out := bctrl.Capability{
		ID:          row.ID,
		Provider:    provider,
		Description: meta.Description,
		Methods:     meta.Methods,
		Paths:       meta.Paths,
		Credential:  meta.Credential,
		CreatedAt:   row.CreatedAt,
		UpdatedAt:   row.UpdatedAt,
	}
	if p, known := s.registry.Provider(provider); known {
		out.Hosts, out.Secrets, out.Docs = p.Hosts, secretsOf(p), p.Docs
		out.Model = callsModel(p, meta) // of a provider that the registry has since
	}
	if meta.Host != "" {
		out.Hosts = []string{meta.Host}
	}
	out.Example = exampleOf(out)
	return out
}

// secretsOf lists the secrets that a provider's credential is made of.
func secretsOf(p registry.Provider) []bctrl.CapabilitySecret {
	list := make([]bctrl.CapabilitySecret, len(p.Secrets))
	for i, name := range p.Secrets {
		list[i] = bctrl.CapabilitySecret{Name: name.Name, Field: name.Field, Optional: name.Optional}
	}
	return list
}

// exampleOf is a command line that uses a capability.
func exampleOf(c bctrl.Capability) string {
	if len(c.Methods) == 0 || len(c.Paths) == 0 {
		return ""
	}
	method := c.Methods[0]
	if slices.Contains(c.Methods, http.MethodPost) && c.Model { // to ask it, and not to list its answers
		method = http.MethodPost
	}
	line := "bctrl invoke " + c.ID + " --method " + method + " --path '" + c.Paths[0] + "'"
	if method != http.MethodGet && method != http.MethodHead && method != http.MethodDelete {
		line += " --body '{}'"
	}
	return line
}

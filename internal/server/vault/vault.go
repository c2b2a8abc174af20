package vault

import (
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// Service answers the routes of the vault.
type Service struct {
	*web.Kernel
	newest newest
}

// New makes the service over the kernel that serves its routes.
func New(k *web.Kernel) *Service { return &Service{Kernel: k} }

// Routes are the routes of the vault. Only an organization key writes; a runtime
// lists and uses what its mounts name, and reads it where they permit that too.
func (s *Service) Routes() []web.Route {
	return []web.Route{
		web.Endpoint("GET /v1/vault", bctrl.ListVault, s.list, "prefix", "hasTotp", "meta", "limit", "cursor"),
		web.Endpoint("GET /v1/vault/{key}", bctrl.ReadVault, s.read),
		web.Endpoint("PUT /v1/vault/{key}", access.VaultWrite, s.put).Atomic(),
		web.Endpoint("DELETE /v1/vault/{key}", access.VaultWrite, s.remove).Atomic(),
		web.Endpoint("GET /v1/vault/{key}/totp", bctrl.UseVault, s.readCode),
	}
}

// Meta is the part of an entry that is listed. A field that is taken out of it, or of secrets, still is in
// entries of before, and needs a case in encodeLogin. It is stored in clear, and
// the seal covers it: an origin that was edited in the database opens nothing.
type Meta struct {
	Username string `json:"username,omitempty"`
	Label    string `json:"label,omitempty"`
	// Origins and OriginPatterns are where the login may be filled, canonical.
	Origins        []string `json:"origins,omitempty"`
	OriginPatterns []string `json:"originPatterns,omitempty"`
	// Fill is how: never empty.
	Fill bctrl.VaultFill `json:"fill"`
	// NoPassword is set where the entry has none, a username or a TOTP seed alone.
	NoPassword bool `json:"noPassword,omitempty"`
}

// secrets is the part of an entry that is sealed.
type secrets struct {
	Password wire.Value `json:"password,omitzero"`
	TOTP     wire.Value `json:"totp,omitzero"`
	Notes    string     `json:"notes,omitempty"`
}

// errNoKey is the answer for a key that no entry has.
func errNoKey() *bctrl.Error {
	return web.NotFound("vault.secret_not_found", "there is no such vault key")
}

func describe(e store.VaultEntry, meta Meta) bctrl.VaultEntry {
	return bctrl.VaultEntry{
		Key:            e.Key,
		Username:       meta.Username,
		Label:          meta.Label,
		HasTOTP:        e.HasTOTP,
		Origins:        meta.Origins,
		OriginPatterns: meta.OriginPatterns,
		Fill:           meta.Fill,
		Version:        e.Version,
		CreatedAt:      e.CreatedAt,
		UpdatedAt:      e.UpdatedAt,
	}
}

// IsForOrigin reports whether an entry may be sent to an origin: where it has some, to
// one of these, else to each of https.
func (m Meta) IsForOrigin(to string) bool {
	if len(m.Origins)+len(m.OriginPatterns) == 0 {
		return strings.HasPrefix(to, "https://")
	}
	return m.hasOrigin(func(allowed string) bool { return origin.Match(allowed, to) })
}

// IsForHost reports whether there can be an origin of a host that an entry is for:
// where it has origins, one of them has to be of that host.
func (m Meta) IsForHost(host string) bool {
	if len(m.Origins)+len(m.OriginPatterns) == 0 {
		return true
	}
	return m.hasOrigin(func(allowed string) bool {
		u, err := url.Parse(allowed)
		return err == nil && (u.Hostname() == host || origin.Match("https://"+u.Hostname(), "https://"+host))
	})
}

func (m Meta) hasOrigin(is func(allowed string) bool) bool {
	return slices.ContainsFunc(append(slices.Clip(m.Origins), m.OriginPatterns...), is)
}

package vault

import (
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/totp"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The limits of a login, in bytes; far above what sites use.
const (
	maxUsername = 1024
	maxPassword = 64 << 10
	maxNotes    = 64 << 10
	maxOrigins  = 100
)

// checkLogin checks a login and names everything that is wrong with
// it at once, never a value. It moves matchOrigins to where they belong.
func checkLogin(in *wire.VaultCredential) (Meta, error) {
	var p web.Problems
	p.Limit("username", len(in.Username), maxUsername)
	p.Limit("password", len(in.Password.Reveal()), maxPassword)
	p.Limit("label", len(in.Label), web.MaxLabel)
	p.Limit("notes", len(in.Notes), maxNotes)
	meta := Meta{
		Username:   in.Username,
		Label:      in.Label,
		Fill:       bctrl.VaultFill(in.Fill),
		NoPassword: in.Password.IsZero(),
	}
	switch meta.Fill {
	case "":
		meta.Fill = bctrl.FillSwap
	case bctrl.FillSwap, bctrl.FillDirect:
	default:
		p.Add("vault.invalid_fill", "fill", "fill must be swap or direct")
	}
	if !in.TOTP.IsZero() {
		if _, err := totp.Parse(bctrl.NewSecret(in.TOTP.Reveal())); err != nil {
			p.Add("vault.invalid_totp", "totp", err.Error())
		}
	}
	p.Limit("origins", len(in.Origins)+len(in.OriginPatterns)+len(in.MatchOrigins), maxOrigins)
	if len(p.List) > 0 {
		return meta, p.Err()
	}
	addOrigin := func(field, text string) {
		canonical, err := origin.Parse(text)
		if err != nil {
			p.Add("vault.invalid_origin", field, err.Error())
		}
		meta.Origins = append(meta.Origins, canonical)
	}
	addPattern := func(field, text string) {
		canonical, err := origin.ParsePattern(text, web.IsPublicSuffix)
		if err != nil {
			p.Add("vault.invalid_origin", field, err.Error())
		}
		meta.OriginPatterns = append(meta.OriginPatterns, canonical)
	}
	for i, text := range in.Origins {
		addOrigin(web.FieldAt("origins", i), text)
	}
	for i, text := range in.OriginPatterns {
		addPattern(web.FieldAt("originPatterns", i), text)
	}
	for i, text := range in.MatchOrigins {
		if strings.Contains(text, "*") {
			addPattern(web.FieldAt("matchOrigins", i), text)
		} else {
			addOrigin(web.FieldAt("matchOrigins", i), text)
		}
	}
	return meta, p.Err()
}

package vault

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/totp"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// codeAt is the one-time code of a time (RFC 6238).
func (s secrets) codeAt(now time.Time) (wire.TOTPCode, error) {
	if s.TOTP.IsZero() {
		return wire.TOTPCode{}, web.NotFound("vault.no_totp", "this vault key has no TOTP seed")
	}
	seed, err := totp.Parse(bctrl.NewSecret(s.TOTP.Reveal()))
	if err != nil {
		return wire.TOTPCode{}, err
	}
	code, expires := seed.Code(now)
	return wire.TOTPCode{Code: wire.NewValue(code.Expose()), ExpiresAt: expires.UTC()}, nil
}

// codeMargin is how long a one-time code must still be good for when it leaves:
// less, and it may have been replaced when it arrives.
const codeMargin = 2 * time.Second

// LastingCode returns a one-time code that is good for two more seconds at
// least: in the last moments of a period it waits for the next. It fails with
// vault.no_totp where the login has no seed, and with the error of ctx where that
// ends while it waits.
func (l OpenedLogin) LastingCode(ctx context.Context) (bctrl.Secret, error) {
	for {
		now := time.Now()
		code, err := l.secrets.codeAt(now)
		if err != nil {
			return bctrl.Secret{}, err
		}
		left := code.ExpiresAt.Sub(now)
		if left >= codeMargin {
			return bctrl.NewSecret(code.Code.Reveal()), nil
		}
		next := time.NewTimer(left)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return bctrl.Secret{}, ctx.Err()
		}
	}
}

package vault

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// TestACodeThatLeavesIsGoodForAMoment makes codes at every second of a period.
// The clock is synctest's and begins with a period.
func TestACodeThatLeavesIsGoodForAMoment(t *testing.T) {
	login := OpenedLogin{secrets: secrets{TOTP: wire.NewValue("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")}}
	for second := range 30 {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			require.Zero(t, begun.Unix()%30)
			time.Sleep(time.Duration(second) * time.Second) //nolint:forbidigo // the clock is synctest's
			code, err := login.LastingCode(t.Context())
			require.NoError(t, err)
			now, err := login.secrets.codeAt(time.Now())
			require.NoError(t, err)
			require.True(t, code.Expose() == now.Code.Reveal(), "it is the code of when it leaves")
			require.GreaterOrEqual(t, time.Until(now.ExpiresAt), codeMargin)
			waited := time.Since(begun) - time.Duration(second)*time.Second
			require.Less(t, waited, codeMargin)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(29 * time.Second) //nolint:forbidigo // the clock is synctest's
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := login.LastingCode(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
}

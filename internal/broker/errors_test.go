package broker

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFailureHasItsKindItsDetailAndItsCause(t *testing.T) {
	err := fail(ErrToken, "its endpoint: %w", fail(ErrUnreachable, "the connection broke: %w", io.EOF))
	for _, in := range []error{ErrToken, ErrUnreachable, io.EOF} {
		require.ErrorIs(t, err, in)
	}
	e, ok := errors.AsType[*Error](err)
	require.True(t, ok)
	require.Equal(t, ErrToken, e.Kind)
	require.Equal(t, "its endpoint: provider unreachable: the connection broke: EOF", e.Detail)
	require.Equal(t, "no access token: "+e.Detail, err.Error())
}

func TestAKindThatIsOneOfAnotherIsBoth(t *testing.T) {
	for kind, of := range map[error]error{ErrRedirect: ErrAnswer, ErrRange: ErrRefused, ErrTokenRefused: ErrToken} {
		err := fail(kind, "a detail")
		require.ErrorIs(t, err, kind)
		require.ErrorIs(t, err, of)
	}
}

package calls

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/names"
)

func TestTargetsCannotBeConfused(t *testing.T) {
	for text, want := range map[string]proxyTarget{
		"github~":                    {name: "github/"},
		"github~repos":               {name: "github/repos"},
		"github":                     {name: "github"},
		"github%2Frepos":             {name: "github/repos"},
		"github~@uploads.github.com": {"github/", "uploads.github.com"},
		"s3@b.s3.amazonaws.com":      {"s3", "b.s3.amazonaws.com"},
		"a~b~c":                      {name: "a/b~c"},
		"a%2Fb~c":                    {name: "a/b/c"},
		"a%zz":                       {},
	} {
		require.Equal(t, want, readTarget(text), text)
	}
	for _, name := range []string{"a~", "a~b", "~a", "~", "a@b", "a/b~c", "a/b/c", "a/~"} {
		require.Error(t, names.CredentialID(name), name)
		require.Error(t, names.Capability(name), name)
	}
}

package command

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestEveryLayerOfAnErrorSaysItsOwnPart: what the command adds stays, and only
// the SDK's own part is put into the words of the command line.
func TestEveryLayerOfAnErrorSaysItsOwnPart(t *testing.T) {
	missing := &bctrl.Error{
		Method:       http.MethodGet,
		PathTemplate: "/v1/workspaces",
		Status:       http.StatusNotFound,
		Code:         "workspaces.not_found",
		Message:      "there is no such workspace",
	}
	plainly := "workspaces.not_found: there is no such workspace"
	for _, tc := range []struct {
		why, want string
		err       error
	}{
		{"the SDK's", plainly, missing},
		{"with what it is about", "workspace a: " + plainly, about("workspace a", missing)},
		{"twice", "line 2: workspace a: " + plainly, about("line 2", about("workspace a", missing))},
		{"of the command line", "--file: " + plainly, usageError{about("--file", missing)}},
		{"two at once", plainly + "\ndisk full", errors.Join(missing, errors.New("disk full"))},
		{"other words for it", "no server answers", &advice{"no server answers", missing}},
		{"a layer of somebody else", "reading: " + missing.Error(), fmt.Errorf("reading: %w", missing)},
		{"none of the SDK", "disk full", errors.New("disk full")},
	} {
		require.Equal(t, tc.want, plain(&cobra.Command{}, tc.err), tc.why)
	}
}

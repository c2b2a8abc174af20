//go:build unix

package chromium

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// brought is the connection of a chromedriver whose client has brought one file.
type brought struct {
	browsertest.MemConn
	err error
}

func (b brought) OpenFile(_ context.Context, path string) (browser.File, error) {
	if path == "/brought" {
		return browser.File{Name: "brought"}, nil
	}
	return browser.File{}, b.err
}

func TestAMachinesPathThatSeleniumNamesIsRecorded(t *testing.T) {
	machine := browser.Forbidden(browser.CodeMachinePath, "a page is given no files of a machine", "")
	rights := new(browsertest.Rights)
	file, err := drivenConn{brought{err: machine}, rights}.OpenFile(t.Context(), "/brought")
	require.NoError(t, err)
	require.Equal(t, "brought", file.Name)
	require.Empty(t, rights.Refused())
	_, err = drivenConn{brought{err: machine}, rights}.OpenFile(t.Context(), "/etc/passwd")
	require.ErrorIs(t, err, machine)
	require.Equal(t, []string{browser.CodeMachinePath}, rights.Refused())
	gone := errors.New("it is gone")
	_, err = drivenConn{brought{err: gone}, rights}.OpenFile(t.Context(), "/etc/passwd")
	require.ErrorIs(t, err, gone)
	require.Empty(t, rights.Refused())
}

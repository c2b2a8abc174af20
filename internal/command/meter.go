package command

import (
	"io"
	"os"
	"path"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// meter shows how far a copy is, on a standard error that is a terminal; the
// nil meter shows nothing.
type meter struct{ bar *progressbar.ProgressBar }

// newMeter begins a copy of total bytes, -1 when it is not known.
func newMeter(cmd *cobra.Command, name string, total int64, quiet bool) *meter {
	out := cmd.ErrOrStderr()
	if _, ok := terminal(out); !ok || quiet {
		return nil
	}
	return &meter{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(printable(path.Base(name))),
		progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionShowTotalBytes(true),
		progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
	)}
}

// Write counts the bytes that went by.
func (m *meter) Write(p []byte) (int, error) {
	if m != nil {
		_ = m.bar.Add(len(p)) // a bar that cannot be drawn must not end the copy
	}
	return len(p), nil
}

// done takes the bar away.
func (m *meter) done() {
	if m != nil {
		_ = m.bar.Exit()
		_ = m.bar.Clear()
	}
}

// metered meters the reading of a file. The SDK reads a file from its start
// when it has to send it again; a pipe, or a file that does not know its size,
// is left to it as it is.
func metered(cmd *cobra.Command, in io.Reader, name string, quiet bool) (_ io.Reader, done func()) {
	f, ok := in.(*os.File)
	if !ok {
		return in, func() {}
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return in, func() {}
	}
	bar := newMeter(cmd, name, info.Size(), quiet)
	if bar == nil {
		return in, func() {}
	}
	return &meteredFile{file: f, bar: bar}, bar.done
}

// meteredFile shows on the bar where its reader is.
type meteredFile struct {
	file *os.File
	at   int64
	bar  *meter
}

func (m *meteredFile) Read(p []byte) (int, error) {
	n, err := m.file.Read(p)
	m.at += int64(n)
	_ = m.bar.bar.Set64(m.at)
	return n, err
}

func (m *meteredFile) Seek(offset int64, whence int) (at int64, err error) {
	at, err = m.file.Seek(offset, whence)
	if err == nil {
		m.at = at
	}
	return at, err
}

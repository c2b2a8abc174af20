package chromium

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// simulatedDisk is a disk with browsers on it that end when they are told.
type simulatedDisk struct {
	watch *diskWatch

	mu     sync.Mutex
	others int64 // what others take of it, in bytes
	size   int64
	files  uint64
	broken bool // it cannot be looked at
	on     map[string]*simulatedBrowser
	ended  []string
}

type simulatedBrowser struct {
	disk     *simulatedDisk
	name     string
	use      int64
	nobodys  bool
	lingers  bool // it does not end within the time that a test lasts
	finished chan struct{}
}

func (b *simulatedBrowser) isNobodys() bool       { return b.nobodys }
func (b *simulatedBrowser) diskUse() int64        { return b.use }
func (b *simulatedBrowser) Done() <-chan struct{} { return b.finished }

func (b *simulatedBrowser) endForDisk() {
	b.disk.mu.Lock()
	defer b.disk.mu.Unlock()
	b.disk.ended = append(b.disk.ended, b.name)
	if !b.lingers {
		delete(b.disk.on, b.name)
		close(b.finished)
		go b.disk.watch.remove(b)
	}
}

func (d *simulatedDisk) look(string) (diskSpace, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.size - d.others
	for b := range maps.Values(d.on) {
		left -= b.use
	}
	if d.broken {
		return diskSpace{}, syscall.EIO
	}
	return diskSpace{max(left, 0), d.files}, nil
}

func (d *simulatedDisk) set(others int64, noFiles, broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others, d.files, d.broken = others, 1000, broken
	if noFiles {
		d.files = 0
	}
}

func (d *simulatedDisk) whoEnded() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ended)
}

func TestAFullDiskEndsAsFewBrowsersAsItTakes(t *testing.T) {
	const mib = 1 << 20
	small, large := simulatedBrowser{name: "small", use: mib}, simulatedBrowser{name: "large", use: 50 * mib}
	warm := simulatedBrowser{name: "warm", use: mib / 4, nobodys: true}
	stuck := simulatedBrowser{name: "stuck", use: 60 * mib, lingers: true}
	for _, tc := range []struct {
		why      string
		browsers []simulatedBrowser
		others   int64         // of 100 MiB
		noFiles  bool          // room is left, but no file can be made
		broken   bool          // nobody can say what is left
		lasts    time.Duration // all three; 0 is a minute
		want     []string
	}{
		{
			why:      "room is left",
			browsers: []simulatedBrowser{small, large}, others: 20 * mib,
		},
		{
			why:      "it was full for a moment",
			browsers: []simulatedBrowser{small, large}, others: 100 * mib, lasts: 1100 * time.Millisecond,
		},
		{
			why:      "one has filled it",
			browsers: []simulatedBrowser{small, large}, others: 49 * mib, want: []string{"large"},
		},
		{
			why:      "others have filled it, and no browser's end helps",
			browsers: []simulatedBrowser{small, large}, others: 150 * mib, want: []string{"large", "small"},
		},
		{
			why:      "one that nobody uses goes first",
			browsers: []simulatedBrowser{small, large, warm}, others: 48 * mib, want: []string{"warm"},
		},
		{
			why:      "no file can be made",
			browsers: []simulatedBrowser{small}, noFiles: true, want: []string{"small"},
		},
		{
			why:      "what nobody can say ends nobody",
			browsers: []simulatedBrowser{small}, others: 100 * mib, broken: true,
		},
		{
			why:      "one that takes long to end holds up nobody",
			browsers: []simulatedBrowser{small, stuck}, others: 150 * mib, want: []string{"stuck", "small"},
		},
	} {
		t.Run(tc.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &simulatedDisk{size: 100 * mib, on: map[string]*simulatedBrowser{}}
				d.watch = &diskWatch{look: d.look}
				for _, b := range tc.browsers {
					b.disk, b.finished = d, make(chan struct{})
					d.on[b.name] = &b
					d.watch.add(&b)
				}
				all := slices.Collect(maps.Values(d.on))
				d.set(tc.others, tc.noFiles, tc.broken)
				<-time.After(cmp.Or(tc.lasts, time.Minute))
				d.set(0, false, false)
				require.Equal(t, tc.want, d.whoEnded())
				<-time.After(time.Minute)
				require.Equal(t, tc.want, d.whoEnded(), "nobody ends once there is room")
				for _, b := range all {
					d.watch.remove(b)
				}
			})
		})
	}
}

// smallDiskEnv has tests make a real disk of a few megabytes, for which they have to be root.
const smallDiskEnv = "BCTRL_SMALL_DISK"

// smallDisk mounts one.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = openTempDir(t)
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m,mode=755"), "this test mounts a disk")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// fillDisk writes a file until there is no room, or enough for a browser to be the largest.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = io.Copy(f, io.LimitReader(zeros{}, 64<<20))
	require.True(t, err == nil || errors.Is(err, syscall.ENOSPC), "%v", err)
}

// zeros never end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestAFullDiskEndsTheBrowserThatFilledIt is of real browsers: on a disk that is said to be
// full while there is a file that fills it, and where BCTRL_SMALL_DISK is set, as each night,
// on one that is.
func TestAFullDiskEndsTheBrowserThatFilledIt(t *testing.T) {
	t.Parallel()
	if os.Getenv(smallDiskEnv) != "" {
		temp := smallDisk(t)
		driver, err := New(Options{TempDir: temp})
		require.NoError(t, err)
		requireFullDiskEnds(t, driver, temp)
		return
	}
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	driver.disk.look = func(dir string) (diskSpace, error) {
		for _, pattern := range []string{"filler", "*/tmp/filler"} {
			if found, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(found) > 0 {
				return diskSpace{files: 1}, err
			}
		}
		return spaceLeft(dir)
	}
	requireFullDiskEnds(t, driver, temp)
}

func requireFullDiskEnds(t *testing.T, driver *Driver, temp string) {
	t.Helper()
	site := browsertest.ServePage(t, "<title>site</title>")
	keeper := newKeeper(t, filepath.Join(temp, "profile"))
	var both []*instance
	for _, spec := range []browser.Spec{
		{ID: "large", Profile: keeper.profile()},
		{ID: "small", Egress: browsertest.Loopback()},
	} {
		b, err := driver.Launch(t.Context(), spec)
		require.NoError(t, err)
		t.Cleanup(func() { _ = b.Stop(context.Background()) }) // it has ended, but where the test fails
		both = append(both, b.(*instance))
	}
	large, small := both[0], both[1]
	require.NoFileExists(t, filepath.Join(temp, "profile", "1"))

	fillDisk(t, filepath.Join(large.dirs.temp, "filler"))
	<-large.Done()
	require.ErrorIs(t, large.Err(), browser.ErrDiskFull)
	require.ErrorIs(t, large.Stop(context.Background()), browser.ErrDiskFull, "a late stop does not hide it")
	require.NoDirExists(t, large.dirs.root)
	require.Empty(t, group(t, large.proc.pid()), "processes")
	require.FileExists(t, filepath.Join(temp, "profile", "1"), "its profile is saved in the room that its caches took")

	page, err := small.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, page.Goto(t.Context(), site, ""), "the other goes on")

	fillDisk(t, filepath.Join(temp, "filler"))
	_, err = driver.Launch(t.Context(), browser.Spec{ID: "third"})
	require.ErrorIs(t, err, browser.ErrDiskFull, "no other begins")
	<-small.Done()
	require.ErrorIs(t, small.Err(), browser.ErrDiskFull, "there is nothing that another's end could free")
	require.NoError(t, os.Remove(filepath.Join(temp, "filler")))
	require.NoError(t, os.RemoveAll(filepath.Join(temp, "profile")))
	requireNothingLeft(t, temp, small.proc.pid())
}

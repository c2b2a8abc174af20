package chromedriver

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

//go:embed helper.pl
var helper []byte

// reapTimeout is how long a killed chromedriver may take to disappear.
const reapTimeout = 5 * time.Second

// The files of a session's folder.
const (
	// programFile is the browser that chromedriver believes to start.
	programFile  = "chromium"
	devtoolsFile = "devtools.sock"
	commandsFile = "webdriver.sock"
	// dataFolder is chromedriver's own: the profile of the browser that it believes to
	// start.
	dataFolder = "data"
)

// process is a chromedriver that runs.
type process struct {
	cmd     *exec.Cmd
	dir     string
	root    *os.Root // of dir
	folder  *os.File // of dir, by which its sockets are named
	said    *tail
	stop    context.CancelFunc
	serving sync.WaitGroup
	files   files
	// transport speaks to chromedriver.
	transport *http.Transport

	exited    chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// Start starts a chromedriver for one session. Of the browser it sees what serve serves
// it, which is called once chromedriver asks for a browser. ctx bounds the start alone.
func Start(
	ctx context.Context, o Options, serve func(context.Context, Conn) error,
) (_ browser.WebDriver, err error) {
	programs, err := find(candidates)
	if err != nil {
		return nil, err
	}
	p := &process{said: &tail{}, exited: make(chan struct{})}
	started := false
	defer func() {
		if !started {
			err = errors.Join(err, p.removeFolder())
		}
	}()
	if err := p.makeFolder(o, programs.perl); err != nil {
		return nil, err
	}
	commands, err := p.listen(commandsFile, o.User)
	if err != nil {
		return nil, err
	}
	defer commands.Close()
	inherited, err := commands.File()
	if err != nil {
		return nil, fmt.Errorf("pass chromedriver its socket: %w", err)
	}
	defer inherited.Close()
	devtools, err := p.listen(devtoolsFile, o.User)
	if err != nil {
		return nil, err
	}
	if err := p.run(o, programs, inherited); err != nil {
		return nil, errors.Join(err, devtools.Close())
	}
	started = true
	p.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", p.socket(commandsFile))
		},
		MaxIdleConns:       maxConnections,
		DisableCompression: true,
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	p.serving.Go(func() { p.serveDevTools(life, devtools, serve) })
	return p, nil
}

// maxConnections bounds the idle connections to one chromedriver. A session's commands
// come one after the other.
const maxConnections = 4

// makeFolder makes the folder of the session. It is the server's, which works in it: the
// browsers' user could lead the server elsewhere with a link. That user passes it, runs
// the program, and owns what is chromedriver's own.
func (p *process) makeFolder(o Options, perl string) (err error) {
	if p.dir, err = os.MkdirTemp(o.Dir, "webdriver-"); err != nil {
		return fmt.Errorf("make chromedriver's folder: %w", err)
	}
	if p.root, err = os.OpenRoot(p.dir); err != nil {
		return fmt.Errorf("open chromedriver's folder: %w", err)
	}
	if p.folder, err = p.root.Open("."); err != nil {
		return fmt.Errorf("open chromedriver's folder: %w", err)
	}
	text := append([]byte("#!"+perl+"\n"), helper...)
	if err := p.root.WriteFile(programFile, text, 0o500); err != nil {
		return fmt.Errorf("write chromedriver's helper: %w", err)
	}
	if err := p.root.Chmod(programFile, 0o555); err != nil {
		return fmt.Errorf("open chromedriver's helper: %w", err)
	}
	if err := p.root.Mkdir(dataFolder, 0o700); err != nil {
		return fmt.Errorf("make chromedriver's folder: %w", err)
	}
	p.files.dir, p.files.root, p.files.user = p.dir, p.root, o.User
	return errors.Join(
		o.User.give(p.root, dataFolder),
		makePassed(p.root, filesFolder, o.User),
		letPass(p.root, ".", o.User),
	)
}

// socket is the path of a socket in the folder. The folder's own may be longer than
// what the address of a socket has room for, 107 bytes.
func (p *process) socket(name string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(p.folder.Fd())), name)
}

func (p *process) listen(name string, user User) (*net.UnixListener, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket(name), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make a socket for chromedriver: %w", err)
	}
	l.SetUnlinkOnClose(false) // it goes with its folder
	err = errors.Join(p.root.Chmod(name, 0o600), user.give(p.root, name))
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// run starts the helper, and chromedriver below it. They have a network of their own,
// so nobody else of the machine reaches chromedriver's port, which asks nobody who they
// are; and processes of their own, which all end with the helper.
func (p *process) run(o Options, programs programs, commands *os.File) error {
	//nolint:noctx // Close ends it
	p.cmd = exec.Command(programs.perl, filepath.Join(p.dir, programFile), "serve", programs.chromedriver,
		"--log-level=OFF", "--disable-dev-shm-usage")
	p.cmd.Env = o.Env
	p.cmd.Dir = p.dir
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.ExtraFiles = []*os.File{commands} // descriptor 3
	p.cmd.SysProcAttr = attributes(o.User)
	p.cmd.WaitDelay = time.Second
	started := make(chan error, 1)
	go func() {
		// The kernel ends the child with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = p.cmd.Wait() // how it ended is in what it said
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%w: %w", browser.ErrNoNetwork, err)
	}
	return nil
}

func attributes(user User) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Setpgid:   true,
		Pdeathsig: syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
			syscall.CLONE_NEWIPC,
		// Root in there may change the network in there, and is the browsers' user to all
		// else.
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(user.UID), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(user.GID), Size: 1}},
	}
	if user.Switched {
		// No supplementary groups: root's own would come along.
		attr.GidMappingsEnableSetgroups = true
		attr.Credential = &syscall.Credential{}
	}
	return attr
}

// serveDevTools serves the one connection that stands for the browser.
func (p *process) serveDevTools(
	ctx context.Context, l *net.UnixListener, serve func(context.Context, Conn) error,
) {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	conn, err := l.Accept()
	stop()
	_ = l.Close()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = serve(ctx, sessionPipe{newPipe(conn), &p.files}) // chromedriver says to its client that the browser is gone
}

// RoundTrip passes a request on to chromedriver. Its host does not matter.
func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := p.transport.RoundTrip(r)
	if err != nil {
		return nil, p.explain(err)
	}
	return answer, nil
}

// explain adds what chromedriver said last to an error, where it has ended.
func (p *process) explain(err error) error {
	select {
	case <-p.exited:
		return fmt.Errorf("chromedriver has ended: %w: %s", err, p.said)
	default:
		return fmt.Errorf("speak to chromedriver: %w", err)
	}
}

// AddFile keeps a file that pages may be given.
func (p *process) AddFile(name string, content io.Reader) (string, error) {
	return p.files.add(name, content)
}

// Browser is the helper, which chromedriver takes for a browser. Its profile is a folder
// that nobody uses: the browser that runs has its own.
func (p *process) Browser() (program string, args []string) {
	return filepath.Join(p.dir, programFile), []string{
		"--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(p.dir, dataFolder),
	}
}

// Done is closed when the process has ended.
func (p *process) Done() <-chan struct{} { return p.exited }

// Close ends chromedriver and removes what it left. It is safe to call twice.
func (p *process) Close() error {
	p.closeOnce.Do(func() {
		p.stop()
		_ = p.cmd.Process.Kill() // and with it, all that it started
		select {
		case <-p.exited:
		case <-time.After(reapTimeout):
			p.closeErr = errors.New("chromedriver does not end")
		}
		p.serving.Wait()
		p.transport.CloseIdleConnections()
		p.closeErr = errors.Join(p.closeErr, p.removeFolder())
	})
	return p.closeErr
}

func (p *process) removeFolder() (err error) {
	if p.folder != nil {
		err = p.folder.Close()
	}
	if p.root != nil {
		err = errors.Join(err, p.root.Close())
	}
	if p.dir != "" {
		err = errors.Join(err, os.RemoveAll(p.dir))
	}
	if err != nil {
		return fmt.Errorf("remove chromedriver's folder: %w", err)
	}
	return nil
}

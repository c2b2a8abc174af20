package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/bctrl-go/bctrl/internal/daemon"
)

// capacity says how many browsers the server has, ready and in use; flags win over the
// environment.
type capacity struct {
	Warm        string `env:"BCTRL_WARM" envDefault:"0"`
	MaxRuntimes string `env:"BCTRL_MAX_RUNTIMES" envDefault:"0"`
	MinFree     string `env:"BCTRL_MIN_FREE_MEMORY" envDefault:"0"`
	QueueTime   string `env:"BCTRL_QUEUE_TIME" envDefault:"30s"`
}

// Bounds of what is meant: more is a typing error.
const (
	maxWarm      = 256
	maxRuntimes  = 100_000
	maxQueueTime = time.Hour
)

func (c *capacity) addFlags(f *pflag.FlagSet) {
	f.StringVar(&c.Warm, "warm", c.Warm, "how many browsers to keep ready, some 100 MiB each: a runtime launched as is "+
		"the default then starts at once (BCTRL_WARM)")
	f.StringVar(&c.MaxRuntimes, "max-runtimes", c.MaxRuntimes, "how many runtimes may start or run at a time; 0 is any "+
		"number (BCTRL_MAX_RUNTIMES)")
	f.StringVar(&c.MinFree, "min-free-memory", c.MinFree, "memory, such as 1GiB, that has to be left for another runtime "+
		"to start; 0 is none (BCTRL_MIN_FREE_MEMORY)")
	f.StringVar(&c.QueueTime, "queue-time", c.QueueTime,
		"how long a launch waits for room before it is refused, up to 1h (BCTRL_QUEUE_TIME)")
}

// configure checks what was given and puts it into cfg.
func (c *capacity) configure(cfg *daemon.Config) (err error) {
	if cfg.Warm, err = strconv.Atoi(c.Warm); err != nil || cfg.Warm < 0 || cfg.Warm > maxWarm {
		return fmt.Errorf("--warm %q: want a number from 0 to %d", c.Warm, maxWarm)
	}
	cfg.MaxRuntimes, err = strconv.Atoi(c.MaxRuntimes)
	if err != nil || cfg.MaxRuntimes < 0 || cfg.MaxRuntimes > maxRuntimes {
		return fmt.Errorf("--max-runtimes %q: want a number from 0, which is no bound, to %d", c.MaxRuntimes, maxRuntimes)
	}
	if cfg.MinFreeMemory, err = parseSize(c.MinFree); err != nil {
		return fmt.Errorf("--min-free-memory %q: want a size, such as 512MiB or 1GiB", c.MinFree)
	}
	cfg.QueueTime, err = time.ParseDuration(c.QueueTime)
	if err != nil || cfg.QueueTime <= 0 || cfg.QueueTime > maxQueueTime {
		return fmt.Errorf("--queue-time %q: want a time above 0 and up to %v, such as 30s or 5m", c.QueueTime, maxQueueTime)
	}
	return nil
}

// parseSize reads a number of bytes, or of KiB, MiB, GiB or TiB.
func parseSize(text string) (int64, error) {
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = strings.TrimSpace(number), 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return 0, strconv.ErrRange
	}
	return int64(n) << shift, nil
}

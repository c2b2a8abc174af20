package audit

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main{M: m}) }

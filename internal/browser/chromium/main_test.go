package chromium

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	runAsServer()
	goleak.VerifyTestMain(m)
}

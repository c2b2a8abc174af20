package chromium

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if temp := os.Getenv(serverEnv); temp != "" {
		runServer(temp)
	}
	if address := os.Getenv(visitEnv); address != "" {
		runVisit(address)
	}
	goleak.VerifyTestMain(m)
}

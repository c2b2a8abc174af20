package clients

import (
	"testing"

	_ "github.com/chromedp/chromedp" // whose suite is run
	_ "github.com/go-rod/rod"        // as above

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

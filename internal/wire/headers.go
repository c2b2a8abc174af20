package wire

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of the contract, in the spelling by which net/http keeps them.
// [Spelled] gives the one that refusals name.
const (
	// Who calls, beside Authorization: for which subaccount, as which runtime and
	// narrowed to which mounts.
	HeaderSubaccount = "Bctrl-Subaccount-Id"
	HeaderRuntime    = "Bctrl-Runtime"
	HeaderMounts     = "Bctrl-Mounts"

	// Which request it is. The answer has its id too.
	HeaderRequestID      = "X-Request-Id"
	HeaderIdempotencyKey = "Idempotency-Key"
	HeaderSDKVersion     = "X-Sdk-Version"

	// As what an organization key calls a provider through the proxy.
	HeaderWorkspace = "Bctrl-Workspace-Id"
	HeaderGroup     = "Bctrl-Group-Id"
	HeaderConsumer  = "Bctrl-Consumer"
	HeaderHost      = "Bctrl-Host"
	HeaderTimeout   = "Bctrl-Timeout-Ms"
	// HeaderTransparent is "true" of a client that calls the provider, as far as
	// it knows: what stands where the provider's key goes is replaced, and the
	// addresses in an answer are the provider's.
	HeaderTransparent = "Bctrl-Transparent"

	// What an answer that is a provider's says of the call.
	HeaderUpstreamStatus    = "Bctrl-Upstream-Status"
	HeaderUpstreamRequestID = "Bctrl-Upstream-Request-Id"
	HeaderCredential        = "Bctrl-Credential"
	HeaderTier              = "Bctrl-Tier"

	// HeaderObject describes a file in answers whose body is the file or nothing.
	HeaderObject = "Bctrl-Object"
)

// ownHeaders is how the names begin of headers that are for the server alone.
const ownHeaders = "Bctrl-"

// IsOwnHeader reports whether a header, in whatever case, is for the server
// alone and no provider's to see.
func IsOwnHeader(name string) bool {
	return len(name) >= len(ownHeaders) && strings.EqualFold(name[:len(ownHeaders)], ownHeaders)
}

// Spelled is the name of a header as the contract and refusals write it:
// "BCTRL-Runtime".
func Spelled(name string) string {
	if rest, own := strings.CutPrefix(name, ownHeaders); own {
		return "BCTRL-" + rest
	}
	return name
}

// RetryAfter reads the header Retry-After (RFC 9110 §10.2.3), seconds or a date, as a time
// from now that is at most the longest. It is 0 for what is neither, and for a date that
// is over.
func RetryAfter(text string, longest time.Duration) time.Duration {
	seconds, err := strconv.ParseUint(text, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return longest
	}
	wait := time.Duration(seconds) * time.Second
	if err != nil {
		if at, err := http.ParseTime(text); err == nil {
			wait = max(time.Until(at), 0)
		}
	}
	return min(wait, longest)
}

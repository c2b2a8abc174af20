// Package totp makes the one-time codes of RFC 6238 from a seed as people have
// it: the text beside a site's QR code, or the otpauth:// URI inside it.
//
// A seed is checked when it is set, so that a typing error shows at once and
// not at the first login. It is read as generously as sites print it: base32 in
// either letter case, in groups separated by spaces or hyphens, with or without
// padding. Nothing else is repaired. No error repeats any part of a seed.
package totp

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 §1.2: the default, and what nearly every site uses
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Algorithm is the hash under the HMAC of RFC 6238 §1.2.
type Algorithm string

// The algorithms of RFC 6238, as otpauth URIs name them.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// What otpauth URIs leave unsaid, and what is accepted.
const (
	defaultDigits = 6
	minDigits     = 6
	maxDigits     = 8
	defaultPeriod = 30 * time.Second
	minPeriod     = 15 * time.Second
	maxPeriod     = 120 * time.Second
)

// Key makes codes. Get one from [Parse].
type Key struct {
	seed      bctrl.Secret // the raw bytes
	algorithm Algorithm
	digits    int
	period    time.Duration
}

// Algorithm returns the hash.
func (k Key) Algorithm() Algorithm { return k.algorithm }

// Digits returns the length of a code: 6 to 8.
func (k Key) Digits() int { return k.digits }

// Period returns how long a code lasts: 15 to 120 seconds.
func (k Key) Period() time.Duration { return k.period }

// Code returns the code that is valid at t, and when the next one replaces it.
// The code is as secret as the seed until then. The zero Key has no code.
func (k Key) Code(t time.Time) (code bctrl.Secret, expiresAt time.Time) {
	if k.seed.IsZero() {
		return bctrl.Secret{}, time.Time{}
	}
	period := int64(k.period / time.Second)
	counter := t.Unix() / period
	if t.Unix()%period < 0 {
		counter-- // before 1970 a period still begins below t
	}
	return bctrl.NewSecret(k.hotp(uint64(counter))), time.Unix((counter+1)*period, 0).In(t.Location())
}

// hotp is RFC 4226 §5.3.
func (k Key) hotp(counter uint64) string {
	mac := hmac.New(k.hash(), []byte(k.seed.Expose()))
	_ = binary.Write(mac, binary.BigEndian, counter) // a hash never fails
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	value := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	modulus := uint32(1)
	for range k.digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", k.digits, value%modulus)
}

func (k Key) hash() func() hash.Hash {
	switch k.algorithm {
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	default:
		return sha1.New
	}
}

package compat

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	awsID      = "AKIAUPSTREAM01234567"
	awsKey     = "upstream/Secret+Key0123456789abcdefghijklm"
	awsSession = "upstream-session-FwoGZXIvYXdzEBAaDG9mdGhlcHJvdmlkZXI="
	awsRegion  = "eu-west-1"
)

// signed checks a request's signature as AWS does: it signs what it was told
// to have been signed once more, with AWS's own signer and the key that it
// knows, and compares. The body is replaced by what it carries.
func signed(r *http.Request, service string) error {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		parts[name] = value
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return fmt.Errorf("the date %q is none, or not now", r.Header.Get("X-Amz-Date"))
	}
	scope := strings.Join([]string{awsID, at.Format("20060102"), awsRegion, service, "aws4_request"}, "/")
	if scheme != "AWS4-HMAC-SHA256" || parts["Credential"] != scope {
		return fmt.Errorf("the scope is not %s", scope)
	}
	if r.Header.Get("X-Amz-Security-Token") != awsSession {
		return fmt.Errorf("the session token is another")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	payload, err := payloadOf(r, body, service)
	if err != nil {
		return err
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "https://"+r.Host+r.URL.RequestURI(), http.NoBody)
	if err != nil {
		return err
	}
	covered := ";" + parts["SignedHeaders"] + ";"
	if strings.Contains(covered, ";content-length;") {
		again.ContentLength = r.ContentLength
	}
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if strings.Contains(covered, ";"+lower+";") {
			again.Header[name] = values
		} else if strings.HasPrefix(lower, "x-amz-") {
			return fmt.Errorf("%s is not signed", name)
		}
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	err = signer.SignHTTP(context.WithoutCancel(r.Context()), aws.Credentials{
		AccessKeyID:     awsID,
		SecretAccessKey: awsKey,
		SessionToken:    awsSession,
	},
		again, payload, service, awsRegion, at)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(again.Header.Get("Authorization"), "Signature="+parts["Signature"]) || parts["Signature"] == "" {
		return fmt.Errorf("the signature does not match what was sent")
	}
	return nil
}

// payloadOf returns what was signed for the body, and checks the body by it.
func payloadOf(r *http.Request, body []byte, service string) (string, error) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case service != "s3":
		r.Body = io.NopCloser(bytes.NewReader(body))
		return hash, nil
	case claimed == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		text, err := unchunked(r, body)
		r.Body = io.NopCloser(bytes.NewReader(text))
		return claimed, err
	case claimed != "UNSIGNED-PAYLOAD" && claimed != hash:
		return "", fmt.Errorf("the body does not have the hash that was signed")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return claimed, nil
}

// unchunked takes a body out of its aws-chunked encoding and compares it with
// the checksum that follows it.
func unchunked(r *http.Request, body []byte) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "aws-chunked" || r.Header.Get("X-Amz-Trailer") != "x-amz-checksum-crc32" {
		return nil, fmt.Errorf("a body in chunks wants its encoding and its trailer to be named")
	}
	src := bufio.NewReader(bytes.NewReader(body))
	text, err := io.ReadAll(httputil.NewChunkedReader(src))
	if err != nil {
		return nil, err
	}
	if got := r.Header.Get("X-Amz-Decoded-Content-Length"); got != fmt.Sprint(len(text)) {
		return nil, fmt.Errorf("the body has %d bytes, not the %s that it should have", len(text), got)
	}
	trailer, err := io.ReadAll(src)
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(text))
	want := "x-amz-checksum-crc32:" + base64.StdEncoding.EncodeToString(sum)
	if err == nil && strings.TrimSpace(string(trailer)) != want {
		err = fmt.Errorf("the trailer is %q, not %q", trailer, want)
	}
	return text, err
}

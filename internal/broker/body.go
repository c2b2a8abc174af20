package broker

import (
	"bytes"
	"io"
	"net/http"
)

// MaxSigned is how many bytes a request's body may have when its signature
// needs its hash and it cannot be read twice.
const MaxSigned = 8 << 20

// hashBody writes a request's body to hash and leaves it to be sent. A body
// that can be had twice streams twice; another is kept in memory.
func hashBody(out *http.Request, hash io.Writer) error {
	if out.Body == nil || out.Body == http.NoBody {
		return nil
	}
	if out.GetBody != nil {
		twin, err := out.GetBody()
		if err != nil {
			return fail(ErrUnsignable, "its body cannot be read twice")
		}
		defer twin.Close()
		if _, err := io.Copy(hash, twin); err != nil {
			return fail(ErrUnsignable, "its body cannot be read")
		}
		return nil
	}
	body, err := keepBody(out)
	if err != nil {
		return err
	}
	_, err = hash.Write(body)
	return err
}

// keepBody reads a request's body into memory, from where it is sent.
func keepBody(out *http.Request) ([]byte, error) {
	if out.Body == nil || out.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, MaxSigned+1))
	_ = out.Body.Close() // all that is wanted of it was read
	switch {
	case err != nil && out.Context().Err() != nil:
		return nil, out.Context().Err()
	case err != nil:
		return nil, fail(ErrUnsignable, "its body cannot be read")
	case len(body) > MaxSigned:
		return nil, fail(ErrUnsignable, "its body is longer than %d bytes", MaxSigned)
	case out.ContentLength > 0 && out.ContentLength != int64(len(body)):
		return nil, fail(ErrUnsignable, "its body has not the length that it declares")
	}
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	return body, nil
}

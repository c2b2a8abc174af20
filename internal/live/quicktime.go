package live

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A recording is kept as a QuickTime movie (QuickTime File Format Specification, Apple
// 2001-2016) with one video track of JPEG pictures, each a key frame: common players and
// editors open it without a codec of their own. What happened is in the movie's user data,
// in an atom "bctr" of JSON that players pass over.

// ContentType and Extension are of a file that [Film.WriteTo] has written.
const (
	ContentType = "video/quicktime"
	Extension   = ".mov"
)

// maxMovieIndex bounds the movie atom that is read, in bytes.
const maxMovieIndex = 16 << 20

// ErrNoMovie is the error of a file that no recording is in.
var ErrNoMovie = errors.New("the file is no recording")

var order = binary.BigEndian

// atom makes an atom of its parts.
func atom(kind string, parts ...[]byte) []byte {
	size := 8
	for _, p := range parts {
		size += len(p)
	}
	out := make([]byte, 0, size)
	out = order.AppendUint32(out, uint32(size))
	out = append(out, kind...)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// words are numbers of 32 bits.
func words(numbers ...uint32) []byte {
	var out []byte
	for _, n := range numbers {
		out = order.AppendUint32(out, n)
	}
	return out
}

// halves are numbers of 16 bits.
func halves(numbers ...uint16) []byte {
	var out []byte
	for _, n := range numbers {
		out = order.AppendUint16(out, n)
	}
	return out
}

// unity is the matrix that changes nothing.
func unity() []byte { return words(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) }

// quicktimeEpoch is where the times of the format begin.
func quicktimeTime(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(t.Unix() - time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC).Unix())
}

// perSecond is the time scale: milliseconds.
const perSecond = 1000

// head is what comes before the pictures.
func (f *Film) head() []byte {
	out := atom("ftyp", []byte("qt  "), words(0x20050300), []byte("qt  "))
	out = append(out, words(1)...) // a size of 64 bits follows
	out = append(out, "mdat"...)
	return order.AppendUint64(out, uint64(16+f.size))
}

// Size is how many bytes the file has.
func (f *Film) Size() (int64, error) {
	tail, err := f.tail()
	return int64(len(f.head())) + f.size + int64(len(tail)), err
}

// Reader returns the file.
func (f *Film) Reader() (io.Reader, error) {
	tail, err := f.tail()
	if err != nil {
		return nil, err
	}
	return io.MultiReader(bytes.NewReader(f.head()), io.NewSectionReader(f.data, 0, f.size), bytes.NewReader(tail)), nil
}

// tail is the movie atom, which comes behind the pictures.
func (f *Film) tail() ([]byte, error) {
	kept := f.Index
	kept.Frames, kept.Running = nil, false // they are in the tables
	about, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("describe a recording: %w", err)
	}
	at, long := quicktimeTime(f.Index.StartedAt), uint32(f.Index.DurationMs)
	mvhd := atom("mvhd", words(0, at, at, perSecond, long, 0x10000), halves(0x100), make([]byte, 10), unity(),
		make([]byte, 24), words(2))
	tkhd := atom("tkhd", words(0xf, at, at, 1, 0, long), make([]byte, 8), halves(0, 0, 0, 0), unity(),
		words(uint32(f.Index.Width)<<16, uint32(f.Index.Height)<<16))
	mdhd := atom("mdhd", words(0, at, at, perSecond, long), halves(0, 0))
	handler := func(kind, sub, name string) []byte {
		return atom("hdlr", words(0), []byte(kind+sub), make([]byte, 12), []byte{byte(len(name))}, []byte(name))
	}
	dinf := atom("dinf", atom("dref", words(0, 1), atom("alis", words(1))))
	minf := atom("minf", atom("vmhd", words(1), halves(0x40, 0x8000, 0x8000, 0x8000)),
		handler("dhlr", "alis", "Data"), dinf, f.tables())
	trak := atom("trak", tkhd, atom("mdia", mdhd, handler("mhlr", "vide", "Video"), minf))
	return atom("moov", mvhd, trak, atom("udta", atom("bctr", about), words(0))), nil
}

// tables say where the pictures are, and how long each is shown.
func (f *Film) tables() []byte {
	stsd := atom("stsd", words(0, 1), atom("jpeg", make([]byte, 6), halves(1, 0, 0), []byte("bctr"), words(0, 0x200),
		halves(uint16(f.Index.Width), uint16(f.Index.Height)), words(0x480000, 0x480000, 0), halves(1),
		append([]byte{12}, append([]byte("Photo - JPEG"), make([]byte, 19)...)...), halves(24, 0xffff)))
	n := len(f.sizes)
	stts, stsz, co64 := words(0, uint32(n)), words(0, 0, uint32(n)), words(0, uint32(n))
	begin := int64(len(f.head()))
	for i, at := range f.Index.Frames {
		next := f.Index.DurationMs
		if i+1 < n {
			next = f.Index.Frames[i+1]
		}
		stts = append(stts, words(1, uint32(max(next-at, 1)))...)
		stsz = append(stsz, words(uint32(f.sizes[i]))...)
		co64 = order.AppendUint64(co64, uint64(begin+f.offsets[i]))
	}
	return atom("stbl", stsd, atom("stts", stts), atom("stsc", words(0, 1, 1, 1, 1)), atom("stsz", stsz),
		atom("co64", co64))
}

// Open reads a recording that was kept.
func Open(data io.ReaderAt, size int64) (*Film, error) {
	moov, err := findAtom(data, 0, size, "moov")
	if err != nil {
		return nil, err
	}
	about, err := inside(moov, "udta", "bctr")
	if err != nil {
		return nil, err
	}
	f := &Film{data: data}
	if err := json.Unmarshal(about, &f.Index); err != nil {
		return nil, ErrNoMovie
	}
	stbl, err := inside(moov, "trak", "mdia", "minf", "stbl")
	if err != nil {
		return nil, err
	}
	stts, err1 := inside(stbl, "stts")
	stsz, err2 := inside(stbl, "stsz")
	co64, err3 := inside(stbl, "co64")
	if err := errors.Join(err1, err2, err3); err != nil || len(stts) < 8 || len(stsz) < 12 || len(co64) < 8 {
		return nil, ErrNoMovie
	}
	n := int(order.Uint32(stsz[8:]))
	if n > maxFrames || len(stsz) < 12+4*n || len(co64) < 8+8*n || len(stts) < 8+8*n {
		return nil, ErrNoMovie
	}
	at := int64(0)
	for i := range n {
		f.Index.Frames = append(f.Index.Frames, at)
		at += int64(order.Uint32(stts[8+8*i+4:]))
		where, long := int64(order.Uint64(co64[8+8*i:])), int64(order.Uint32(stsz[12+4*i:]))
		if where < 0 || where+long > size {
			return nil, ErrNoMovie
		}
		f.offsets, f.sizes = append(f.offsets, where), append(f.sizes, long)
	}
	return f, nil
}

// findAtom returns what is in the first atom of a kind, in a file from an offset on.
func findAtom(data io.ReaderAt, at, end int64, kind string) ([]byte, error) {
	var head [16]byte
	for at+8 <= end {
		n, err := data.ReadAt(head[:min(16, end-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read a recording: %w", err)
		}
		size, begin := int64(order.Uint32(head[:])), int64(8)
		if size == 1 && n == 16 {
			size, begin = int64(order.Uint64(head[8:])), 16
		}
		if size < begin || at+size > end {
			return nil, ErrNoMovie
		}
		if string(head[4:8]) != kind {
			at += size
			continue
		}
		if size > maxMovieIndex {
			return nil, ErrNoMovie
		}
		out := make([]byte, size-begin)
		if _, err := data.ReadAt(out, at+begin); err != nil {
			return nil, fmt.Errorf("read a recording: %w", err)
		}
		return out, nil
	}
	return nil, ErrNoMovie
}

// inside returns what is in an atom inside of others.
func inside(data []byte, kinds ...string) (found []byte, err error) {
	found = data
	for _, kind := range kinds {
		if found, err = findAtom(bytes.NewReader(found), 0, int64(len(found)), kind); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Bytes are those of all pictures.
func (f *Film) Bytes() (sum int64) {
	for _, n := range f.sizes {
		sum += n
	}
	return sum
}

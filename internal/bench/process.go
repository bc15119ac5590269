package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of /proc/PID/stat on Linux, whatever the kernel's own tick is.
const clockTick = 10 * time.Millisecond

// ProcessCPU returns a function that tells how much CPU time a process has used. It works on Linux.
func ProcessCPU(pid int) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		end := bytes.LastIndexByte(stat, ')') // the command's name stands in parentheses and may hold anything
		fields := bytes.Fields(stat[end+1:])
		if end < 0 || len(fields) < 13 {
			return 0, errors.New("bench: /proc/PID/stat reads differently than expected")
		}
		user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
		system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
		return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
	}
}

// ProcessMemory returns a function that tells how much memory a process holds (its resident set), in bytes. It works on
// Linux.
func ProcessMemory(pid int) func() (int64, error) {
	return func() (int64, error) {
		f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			if value, ok := bytes.CutPrefix(lines.Bytes(), []byte("VmRSS:")); ok {
				kib, err := strconv.ParseInt(string(bytes.Fields(value)[0]), 10, 64)
				return kib << 10, err
			}
		}
		return 0, errors.Join(errors.New("bench: /proc/PID/status has no VmRSS"), lines.Err())
	}
}

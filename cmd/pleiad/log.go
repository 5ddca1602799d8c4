package main

import (
	"io"
	"log/slog"

	"github.com/pleiad/pleiad/internal/config"
)

// newLogger logs to w as the configuration says; level can be changed while running.
func newLogger(w io.Writer, c config.Log, level *slog.LevelVar) *slog.Logger {
	setLevel(level, c.Level)
	o := &slog.HandlerOptions{Level: level}
	if c.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func setLevel(v *slog.LevelVar, l config.LogLevel) {
	switch l {
	case config.LogDebug:
		v.Set(slog.LevelDebug)
	case config.LogWarn:
		v.Set(slog.LevelWarn)
	case config.LogError:
		v.Set(slog.LevelError)
	default:
		v.Set(slog.LevelInfo)
	}
}

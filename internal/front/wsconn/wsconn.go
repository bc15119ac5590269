// Package wsconn turns WebSocket connections into net.Conns for the front ends whose protocols travel in them.
package wsconn

"""An operator's app in the server's process: it writes down which events it heard of."""

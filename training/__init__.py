"""From what people said to a promoted adapter. Knows `feedback`; talks to no server by itself."""

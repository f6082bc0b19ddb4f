"""OpenFlow applications that route the backhaul."""

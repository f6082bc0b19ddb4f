"""What captures say of traffic: by interval and cause, by flow, and beside other witnesses."""

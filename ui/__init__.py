"""The Streamlit pages; none is shipped yet. Internal, no stable API."""

// Says while somebody types whether a document is JSON; the server has the last word.
const form = document.querySelector("form.document");
const text = form.elements.document;
const told = form.querySelector(".syntax");

function check() {
  let fault = "";
  try {
    const value = JSON.parse(text.value);
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      fault = "A document must be an object.";
    }
  } catch (error) {
    fault = error.message;
  }
  told.textContent = fault || "Valid JSON.";
  told.classList.toggle("fault", fault !== "");
  text.setCustomValidity(fault);
}

text.addEventListener("input", check);
form.addEventListener("submit", (event) => {
  if (event.submitter?.value === "delete" && !confirm("Delete this document?")) {
    event.preventDefault();
  }
});
check();
